"""`nst-batch mesh`: every mesh with every style."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_lightning.errors import UserError
from nst_lightning.grid.blends import blended_columns
from nst_lightning.grid.models import USUAL_MESH, read_models
from nst_lightning.grid.pairs import Grid, Pair
from nst_lightning.grid.sources import Source, read_sources
from nst_lightning.layout import is_mesh
from nst_lightning.settings import BatchSettings, build, merge

from .flags import BlendStyles, Flags
from .grid import Shard, make_grid
from .options import settings_options
from .run import make_one
from .sides import check_names

Models = Annotated[Path, typer.Argument(help="Folder of meshes, or one: GLB, glTF, OBJ, PLY.")]
Styles = Annotated[Path, typer.Argument(help="Folder of paintings, or one image.")]
MeshOut = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="FOLDER|FILE", help="Output folder, or one mesh's file."),
]
ViewSize = Annotated[
    str | None,
    typer.Option(
        "--view-size",
        metavar="N",
        help=f"Side of each view in pixels: --size of meshes. \\[default: {USUAL_MESH['size']}]",
    ),
]


@settings_options(USUAL_MESH)
def mesh(
    models: Models,
    styles: Styles,
    given: Mapping[str, Any],
    flags: Flags,
    out: MeshOut = Path("out"),
    view_size: ViewSize = None,
    blend_styles: BlendStyles = None,
    part: Shard = None,
) -> None:
    """Paint every mesh in every style: its textures anew, all else as it was.

    Results are OUT/<mesh>/<style>.glb, or in whatever format the mesh has; -o with the name of a
    mesh makes that one file.
    """
    settings = read_settings(given, view_size)
    if is_mesh(out):
        make_one_mesh(models, styles, settings, flags, out, blend_styles)
        return
    sides = read_mesh_sides(models, styles, settings, out, blend_styles)
    pairs = Grid(*sides, settings.suffix)
    make_grid(pairs, sides, settings, out, flags, part, [models, styles])


def read_settings(given: Mapping[str, Any], view_size: str | None) -> BatchSettings:
    """Returns the settings of the command.

    Raises:
        UserError: a setting that cannot be, or a size that is said twice.
    """
    if view_size is not None:
        if "size" in given or isinstance(given.get("scales"), list):
            raise UserError("--view-size is --size or the last of --scales: give one of them.")
        given = {**given, "size": view_size}
    return build(merge(USUAL_MESH, given))


def read_mesh_sides(
    models: Path, styles: Path, settings: BatchSettings, out: Path, blend_styles: str | None
) -> tuple[list[Source], list[Source]]:
    """Returns the rows and the columns of a grid of meshes.

    Raises:
        UserError: no meshes, no images, or a blend that cannot be.
    """
    rows, columns = read_models(models, settings, out), read_sources(styles, settings, out)
    if blend_styles is not None:
        check_names(rows)
        columns = blended_columns(blend_styles, columns, out)
    return rows, columns


def make_one_mesh(
    model: Path,
    style: Path,
    settings: BatchSettings,
    flags: Flags,
    file: Path,
    blend_styles: str | None,
) -> None:
    """Makes one mesh in one style.

    Raises:
        UserError: they are not one each, or the file would replace an input.
    """
    from nst_lightning.store.output import check_file

    for path, kind in ((model, "mesh"), (style, "style")):
        if path.is_dir():
            raise UserError(
                f"{path}: is a folder; name one {kind} for the one file {file}, or an output "
                "folder with --out."
            )
    if blend_styles is not None:
        raise UserError("--blend-styles makes several meshes: name an output folder with --out.")
    (content,), (painting,) = read_mesh_sides(model, style, settings, file.parent, None)
    pair = Pair(content, painting, file.name)
    if pair.problem:
        raise UserError(pair.problem)
    if file.suffix.lower() != model.suffix.lower():
        raise UserError(
            f"{file}: a mesh keeps its format; name a file that ends in {model.suffix.lower()}."
        )
    check_file(file, pair)
    check_beside(pair, settings, file)
    make_one(pair, settings, file, flags)


def check_beside(pair: Pair, settings: BatchSettings, file: Path) -> None:
    """Sees that no file of a result replaces one that it is made from.

    Raises:
        UserError: one would.
    """
    from nst_lightning.grid.models import load_model
    from nst_lightning.mesh.mesh_formats import files_beside

    assert pair.content.model is not None
    inputs: Sequence[Path] = [*pair.content.model.used, pair.style.path]
    for name in files_beside(load_model(pair.content.path, settings), file):
        beside = file.with_name(name)
        if any(beside.exists() and path.samefile(beside) for path in inputs):
            raise UserError(
                f"{file}: its texture {beside} would replace an input; name another file with "
                "--out."
            )
