"""The exceptions that reach the user as a sentence instead of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """Something the user can mend; its message is one sentence that says what to do."""

    exit_code = 2


class OutputError(UserError):
    """Results can no longer be written, so the run ends; what is finished stays."""

    exit_code = 1

    @classmethod
    def at(cls, path: Path, error: OSError) -> "OutputError":
        """The sentence for a file that could not be written."""
        return cls(
            f"{path}: cannot be written ({error.strerror}); what is finished stays, and the same "
            "command goes on from there once that is mended."
        )


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turns an error of writing into one for the user.

    Args:
        path: what is written, where the error does not say it.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise OutputError.at(Path(error.filename or path), error) from None
