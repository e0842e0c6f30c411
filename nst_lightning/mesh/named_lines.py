"""Lines of a text, some of which name files of a result that has no name yet."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class NamingLine:
    """A line that names a file of the result.

    before: what stands before the name.
    ending: what the file's name has behind the stem of the result, `-0.png` for example.
    """

    before: str
    ending: str


Line = str | NamingLine


def split_lines(data: bytes) -> list[str]:
    """Returns the lines of a text, without their `\\n` but with a `\\r` before it; bytes that are
    no UTF-8 are kept as lone surrogates."""
    return data.decode("utf-8", "surrogateescape").split("\n")


def join_lines(lines: Sequence[Line], stem: str) -> bytes:
    """Returns the text of lines, with the names that files have besides the stem of the result.

    Inserted lines end as the first of the text does.
    """
    first = next((line for line in lines if isinstance(line, str)), "")
    end = "\r" if first.endswith("\r") else ""
    text = "\n".join(
        line if isinstance(line, str) else f"{line.before}{stem}{line.ending}{end}"
        for line in lines
    )
    return text.encode("utf-8", "surrogateescape")
