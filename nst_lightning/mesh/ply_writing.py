"""Writing a PLY again with other textures."""

from collections.abc import Sequence
from dataclasses import dataclass

from nst_lightning.mesh.named_lines import Line, join_lines


@dataclass(frozen=True)
class PlyForm:
    """What is kept of a PLY.

    header: its lines.
    body: the bytes behind them.
    textures: how many images it shows.
    """

    header: list[Line]
    body: bytes
    textures: int

    def files(self, pngs: Sequence[bytes], name: str) -> dict[str, bytes]:
        *images, _ = self.names(name)
        text = join_lines(self.header, name.rpartition(".")[0])
        return {**dict(zip(images, pngs, strict=True)), name: text + self.body}

    def names(self, name: str) -> list[str]:
        stem = name.rpartition(".")[0]
        return [
            *(stem + image_ending(number, self.textures) for number in range(self.textures)),
            name,
        ]


def image_ending(number: int, count: int) -> str:
    """Returns what the name of an image has behind the stem of its mesh."""
    return ".png" if count == 1 else f"-{number}.png"
