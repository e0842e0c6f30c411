"""What is wrong with a file of a mesh, before it is known which file that is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nst_lightning.errors import UserError


class BadMesh(Exception):  # noqa: N818
    """A mesh cannot be used; the message is a sentence whose subject is its file."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the name of the file before what is wrong with it.

    Raises:
        UserError: a `BadMesh` was raised, or memory or the depth of Python's stack did not suffice.
    """
    try:
        yield
    except BadMesh as error:
        raise UserError(f"{path}: {error}") from error
    except RecursionError:
        raise UserError(f"{path}: is nested too deeply; export it anew.") from None
    except MemoryError:
        raise UserError(f"{path}: does not fit into this machine's memory.") from None
