"""`nst-batch archive` and `nst-batch clean`: what to do with a folder of results."""

import hashlib
import io
import os
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from nst_lightning.errors import OutputError, UserError

Folder = Annotated[Path, typer.Argument(help="Output folder of an earlier command.")]
CHECKSUMS = "SHA256SUMS"
"""Member of an archive that lists the others; `sha256sum -c` reads it."""


def archive(
    out: Folder,
    file: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Archive: .tar.gz, .tgz or .zip. [OUT.tar.gz]"),
    ] = None,
) -> None:
    """Pack a folder of results into one file, with a list of checksums."""
    from nst_lightning.files import atomic_file, files_and_links

    if not out.is_dir():
        raise UserError(f"{out}: is not a folder of results.")
    file = file or out.resolve().with_name(out.resolve().name + ".tar.gz")
    pack = choose_packer(file)
    if file.is_dir():
        raise UserError(f"{file}: is a folder; name a file with --out.")
    found, links = (
        [path for path in paths if not is_hidden(path, out)] for paths in files_and_links(out)
    )
    members = [path for path in found if path.resolve() != file.resolve()]
    if not members:
        raise UserError(f"{out}: is empty, so there is nothing to archive.")
    try:
        with atomic_file(file) as target:
            pack(target, out, members)
    except OSError as error:
        raise OutputError.at(file, error) from None
    typer.echo(f"{file}: {len(members)} files, {file.stat().st_size / 1e6:.1f} MB")
    say_links(links, "are not in the archive")


def is_hidden(path: Path, out: Path) -> bool:
    """Whether a file of an output folder, or a folder on the way to it, is hidden."""
    return any(part.startswith(".") for part in path.relative_to(out).parts)


def say_links(links: Sequence[Path], what: str) -> None:
    """Prints what becomes of links, where there are any."""
    if links:
        typer.echo(f"links {what}, nor what is behind them: {', '.join(map(str, links))}")


def choose_packer(file: Path) -> Callable[[BinaryIO, Path, Sequence[Path]], None]:
    """Returns what writes an archive of this name.

    Raises:
        UserError: no known suffix.
    """
    if file.name.endswith((".tar.gz", ".tgz")):
        return pack_tar
    if file.suffix == ".zip":
        return pack_zip
    raise UserError(f"{file}: name an archive that ends in .tar.gz, .tgz or .zip with --out.")


def pack_tar(target: BinaryIO, out: Path, members: Sequence[Path]) -> None:
    """Writes a .tar.gz, with one block of a file in memory at a time."""
    sums = []
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for path, name in named_members(out, members):
            with path.open("rb") as file:
                hashed = Hashed(file)
                tar.addfile(tar.gettarinfo(arcname=name, fileobj=file), hashed)
            sums.append(hashed.line(path, out))
        text = "".join(sums).encode()
        info = tarfile.TarInfo(f"{out.resolve().name}/{CHECKSUMS}")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))


def pack_zip(target: BinaryIO, out: Path, members: Sequence[Path]) -> None:
    """Writes a .zip, with one block of a file in memory at a time."""
    sums = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as pack:
        for path, name in named_members(out, members):
            info = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
            with path.open("rb") as file, pack.open(info, "w") as member:
                hashed = Hashed(file)
                shutil.copyfileobj(hashed, member)
            sums.append(hashed.line(path, out))
        pack.writestr(f"{out.resolve().name}/{CHECKSUMS}", "".join(sums))


class Hashed:
    """A file that is hashed while it is read, for it may be larger than the memory."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Returns the next bytes."""
        data = self.file.read(size)
        self.digest.update(data)
        return data

    def line(self, path: Path, out: Path) -> str:
        """Returns the line of the list of checksums, once all is read."""
        return f"{self.digest.hexdigest()}  {inside(path, out)}\n"


def named_members(out: Path, members: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yields each member with its name in the archive."""
    for path in members:
        yield path, f"{out.resolve().name}/{inside(path, out)}"


def inside(path: Path, out: Path) -> str:
    """Returns a path as seen from the folder."""
    return path.relative_to(out).as_posix()


def clean(
    out: Folder,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove what nst-batch made in a folder, and nothing else, after showing it and asking."""
    from nst_lightning.files import files_and_links
    from nst_lightning.store.owned import owned_files

    files = owned_files(out)
    for path in files:
        typer.echo(str(path))
    size = sum(path.stat().st_size for path in files)
    typer.echo(f"{len(files)} files, {size / 1e6:.1f} MB")
    say_links(files_and_links(out)[1], "are not removed")
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("nothing was removed: nobody is there to ask; add --yes.")
        if not typer.confirm("Remove them?"):
            typer.echo("Nothing was removed.")
            return
    try:
        for path in files:
            path.unlink(missing_ok=True)
        remove_empty(out)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be removed ({error.strerror}).") from None
    left = len(files_and_links(out)[0])
    typer.echo("Removed." + (f" {left} files that nst-batch did not make stay." if left else ""))


def remove_empty(out: Path) -> None:
    """Removes folders without anything in them, the deepest first, and then the folder itself."""
    for current, _, _ in os.walk(out, topdown=False):
        folder = Path(current)
        if not any(folder.iterdir()) and not folder.is_symlink():
            folder.rmdir()
