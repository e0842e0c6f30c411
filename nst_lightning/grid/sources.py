"""Input images: found in folders, named and measured. Imports no torch."""

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nst_lightning.errors import UserError
from nst_lightning.formats import READABLE_SUFFIXES, UNSUPPORTED_SUFFIXES, result_suffixes
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.layout import MANIFEST, is_report, safe_name, short_hash
from nst_lightning.settings import BatchSettings, Scale
from nst_lightning.settings.sizes import fit
from nst_lightning.video.clip import Clip

Shape = tuple[int, int]
"""(height, width) in pixels."""

MASK = ".mask.png"
"""`cat.mask.png` is the mask of `cat.jpg`, and no image of its own."""


@dataclass(frozen=True, slots=True)
class StylePart:
    """An image that a style is made of."""

    path: Path
    share: float = 1.0
    """Of the blend, in proportion to the others'."""
    mask: Path | None = None
    region: str = ""
    """`#rrggbb` of the only region that it serves; by default all."""
    shape: Shape | None = None
    """Upright (height, width); None where the image cannot be read."""


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of a mesh that is a content."""

    views: int
    """From which it is painted."""
    used: tuple[Path, ...]
    """The files that belong to it, beside its own."""


@dataclass(frozen=True, slots=True)
class Film:
    """What is known of a film that is a content."""

    clip: Clip
    cuts: tuple[int, ...] = ()
    """The first frame of each shot but the first one's."""
    masks: tuple[Path, ...] = ()
    """The masks of its frames; none where it has no regions."""


@dataclass(frozen=True, slots=True)
class Source:
    """An input image, a blend of several, a mesh or a film."""

    path: Path
    name: str
    """What its results are called: unique among the contents or styles, may hold sub-folders."""
    shape: Shape | None
    """Upright (height, width), of a mesh of all its views in one image; None where it cannot be
    read."""
    problem: str = ""
    """Why it cannot be read."""
    mask: Path | None = None
    """The image of its regions."""
    blend: tuple[StylePart, ...] = ()
    """What it is made of; nothing where it is one image."""
    model: Model | None = None
    """What is known of it where it is a mesh."""
    film: Film | None = None
    """What is known of it where it is a film."""

    @property
    def parts(self) -> tuple[StylePart, ...]:
        """The images behind it: several for a blend, else itself."""
        return self.blend or (StylePart(self.path, 1.0, self.mask, shape=self.shape),)


def find_images(
    where: Path,
    *,
    recursive: bool,
    skip: Path,
    suffixes: frozenset[str] = READABLE_SUFFIXES,
    what: str = "images",
) -> list[Path]:
    """Returns the images of a folder, in order of their names; of a file, the file itself.

    Formats of images that are known but not supported are in the list too, so that they can be
    named. Hidden files are left out, and so are output folders of nst-batch, `skip` first of all.

    Args:
        where: the folder, or a file.
        recursive: whether sub-folders are looked through.
        skip: the output folder.
        suffixes: of what is looked for, in lower case.
        what: it is called.

    Raises:
        UserError: there is no such file or folder, or no image in it.
    """
    if where.is_file():
        return [where]
    if not where.is_dir():
        raise UserError(f"{where}: there is no such file or folder.")
    try:
        known = suffixes | UNSUPPORTED_SUFFIXES if suffixes == READABLE_SUFFIXES else suffixes
        skip = skip.resolve()
        found = sorted(walk(where, recursive=recursive, skip=skip, suffixes=known), key=str)
    except OSError as error:
        raise UserError(f"{where}: cannot be read ({error.strerror}).") from None
    if not found:
        deeper = "" if recursive else " (sub-folders are read with --recursive)"
        named = ", ".join(sorted(suffixes))
        raise UserError(f"{where}: holds no {what}{deeper}; supported are {named}.")
    return found


def walk(folder: Path, *, recursive: bool, skip: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    """Yields the files below a folder that have one of the suffixes, in no particular order."""
    seen: set[Path] = set()

    def fail(error: OSError) -> None:
        raise error

    for current, folders, files in os.walk(folder, followlinks=True, onerror=fail):
        here = Path(current)
        folders[:] = [
            name
            for name in folders
            if recursive and not name.startswith(".") and not is_output(here / name, skip)
        ]
        if here.resolve() in seen:  # a loop of links
            folders.clear()
            continue
        seen.add(here.resolve())
        stems = {Path(name).stem for name in files}
        for name in files:
            known = Path(name).suffix.lower() in suffixes
            is_mask = name.endswith(MASK) and name.removesuffix(MASK) in stems
            if known and not is_mask and not name.startswith("."):
                yield here / name


def is_output(folder: Path, out: Path) -> bool:
    """Whether a folder is this run's output folder or that of an earlier one."""
    return folder.resolve() == out or (folder / MANIFEST).is_file()


def read_sources(where: Path, settings: BatchSettings, out: Path) -> list[Source]:
    """Reads one side of the grid: images, named and measured; broken ones with their problem."""
    paths = find_images(where, recursive=settings.recursive, skip=out)
    images = ImageReader(settings.max_pixels)
    root = where if where.is_dir() else where.parent
    names = output_names([path.relative_to(root) for path in paths])
    return [read_source(path, names[path.relative_to(root)], images) for path in paths]


def read_source(path: Path, name: str, images: ImageReader) -> Source:
    """Returns one image, with its size or the reason why it cannot be read."""
    try:
        return Source(path, name, images.size(path))
    except UserError as error:
        return Source(path, name, None, str(error))


ENDS = (*result_suffixes(), ".yaml", ".jsonl")


def output_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Returns a distinct name for each relative path, the same in every run over the same files.

    The name is the path without its suffix, made safe part by part. Names that would collide, also
    on file systems that ignore case or by being both an image and a folder, get the suffix
    (`cat-jpg`, `cat-png`), and where that does not help a hash of the path.
    """

    def plain(path: Path, more: str = "") -> str:
        return "/".join(map(safe_name, (*path.parts[:-1], path.stem + more)))

    def with_suffix(path: Path) -> str:
        return plain(path, f"-{path.suffix[1:].lower()}")

    def with_hash(path: Path) -> str:
        return plain(path, f"-{path.suffix[1:].lower()}-{short_hash(path.as_posix())}")

    names = {path: plain(path) for path in paths}
    for longer in (with_suffix, with_hash):
        taken = Counter(name.casefold() for name in names.values())
        folders = {
            folder.as_posix().casefold() for name in names.values() for folder in Path(name).parents
        }
        for path, name in names.items():
            key = name.casefold()
            # A name that ends like a result would make a folder called as another's file, and one
            # that is a report's would stand in its place.
            of_others = key.endswith(ENDS) or is_report(key.rpartition("/")[2])
            if taken[key] > 1 or key in folders or of_others:
                names[path] = longer(path)
    return names


def shape_at(source: Source, scale: Scale, settings: BatchSettings) -> Shape:
    """Returns the (height, width) of a readable source at a scale; see `fit`. Each view of a mesh
    has the scale's size, and all of them stand in one image; the sides of a film are even."""
    assert source.shape is not None
    if source.model is not None:
        return shape_of_views(source.model.views, scale.longest)
    height, width = fit(*source.shape, scale.target, settings.upscale)
    if source.film is not None:  # most codecs halve the resolution of colour
        height, width = max(2, height - height % 2), max(2, width - width % 2)
    return height, width


def shape_of_views(views: int, side: int) -> Shape:
    """Returns the (height, width) of the image in which so many square views stand."""
    across = math.ceil(math.sqrt(views))
    return math.ceil(views / across) * side, across * side


def shapes(source: Source, settings: BatchSettings) -> tuple[Shape, ...]:
    """Returns the (height, width) of a readable source at each scale."""
    return tuple(shape_at(source, scale, settings) for scale in settings.scales)
