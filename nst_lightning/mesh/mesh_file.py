"""A mesh that was read, with all that it takes to write it back with other textures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from nst_lightning.mesh.surface import Surface, Texture


class MeshForm(Protocol):
    """What a format keeps of a file, from which it writes the file again."""

    def files(self, pngs: Sequence[bytes], name: str) -> dict[str, bytes]:
        """Returns the files that make up a result, by their names; the one named `name` is last.

        Args:
            pngs: the bytes of a PNG for each texture.
            name: of the main file, with its suffix.
        """
        ...

    def names(self, name: str) -> list[str]:
        """Returns the names of those files in the same order, without making them."""
        ...


@dataclass(frozen=True)
class MeshFile:
    """A mesh and the form of its file.

    path: of the file that was read.
    surface: its faces, as they stand in the scene.
    textures: the images that its faces show, which `surface.material` counts: the file's own; and
        where it has none, colours of vertices and materials painted into a new one.
    alphas: the transparency of each texture, (1, h, w) float32 in [0, 1]; None where it is opaque.
    form: what its format keeps.
    used: the files that were read beside it, in their order.
    """

    path: Path
    surface: Surface
    textures: list[Texture]
    alphas: list[Tensor | None]
    form: MeshForm
    used: Sequence[Path] = ()
