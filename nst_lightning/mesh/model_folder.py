"""Reading the files of a model, none of which may lie outside its folder."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from nst_lightning.machine_memory import machine_bytes
from nst_lightning.mesh.bad_mesh import BadMesh

_TIMES_SIZE = 4
"""Memory that a file takes at least while it is read, in times its size."""


@dataclass(frozen=True)
class ModelFolder:
    """The folder in which a model lies, and below which all of its files must lie."""

    path: Path
    used: list[Path] = field(default_factory=list, compare=False)
    """The files that were read beside the model itself, in their order."""

    def locate(self, name: str) -> Path:
        """Returns the path of a file that the model names.

        Backslashes, which files from Windows have, count as slashes where there is no file with
        such a name.

        Raises:
            BadMesh: see `find`; or there is no such file.
        """
        found = self.find(name)
        if found is None:
            raise BadMesh(f"names {name}, which is not there; put that file into its folder.")
        return found

    def find(self, name: str) -> Path | None:
        """Returns the path of a file that the model names; None where there is no such file.

        Raises:
            BadMesh: the path is absolute, leads out of the folder, also by a link, or is no path.
        """
        if not name or not name.isprintable():
            raise BadMesh(f"names a file {name!r}, which is no name; export it anew.")
        if name.startswith(("/", "\\")) or PureWindowsPath(name).drive:
            raise BadMesh(
                f"names {name}, an absolute path; put that file beside it and write its name alone."
            )
        names = dict.fromkeys((name, name.replace("\\", "/")))
        root = os.path.realpath(self.path)
        for one in names:
            place = os.path.realpath(self.path / one)
            if not Path(place).is_relative_to(root):
                raise BadMesh(
                    f"names {name}, which leads out of its folder; put that file beside it."
                )
            if os.path.lexists(place):
                return Path(place)
        return None

    def read(self, name: str) -> bytes:
        """Returns the bytes of a file that the model names.

        Raises:
            BadMesh: see `locate`; or it cannot be read.
        """
        return self.take(self.locate(name), name)

    def take(self, path: Path, name: str) -> bytes:
        """Returns the bytes of a file that was found.

        Args:
            path: where it was found.
            name: what the model calls it.

        Raises:
            BadMesh: it cannot be read.
        """
        self.used.append(path)
        return read_whole(path, f"names {name}, which")


def read_whole(path: Path, subject: str = "") -> bytes:
    """Returns the bytes of a file that fits into this machine's memory.

    Args:
        path: of the file.
        subject: what its faults are said of, before the verb; by default the file itself.

    Raises:
        BadMesh: there is none, it is no regular file, too large or unreadable.
    """
    said = f"{subject} " if subject else ""
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise BadMesh(f"{said}is a folder where a file is expected.")
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for a writer
            raise BadMesh(f"{said}is not a regular file; copy it into one.")
        if found.st_size * _TIMES_SIZE > (here := machine_bytes()):
            raise BadMesh(
                f"{said}takes {found.st_size / 2**30:.1f} GiB, too much for the "
                f"{here / 2**30:.1f} GiB of memory here; make it smaller."
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise BadMesh(f"{said or 'there '}is no such file.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadMesh(f"{said}cannot be read ({reason}).") from None
