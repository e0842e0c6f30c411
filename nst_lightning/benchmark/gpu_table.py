"""The GPU's figures as a piece of Markdown, and its place in a document."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst_lightning.benchmark.gpu_parts import PARTS, Part, Row
from nst_lightning.errors import UserError
from nst_lightning.files import write_text

BEGIN, END = "<!-- gpu table -->", "<!-- end of gpu table -->"

Rows = Mapping[str, Sequence[Row]]
"""What was measured, by the name of the part."""


@dataclass(frozen=True)
class Aim:
    """A figure that should be reached on one H200."""

    text: str
    find: Callable[[Rows], float]
    """Raises LookupError where it was not measured."""
    reached: Callable[[float], bool]
    form: str
    """How the figure is written."""


def find_row(rows: Rows, part: str, **case: Any) -> Row:
    """Returns the row of a case.

    Raises:
        LookupError: it was not measured.
    """
    for row in rows.get(part, ()):
        if "problem" not in row and case.items() <= row.items():
            return row
    raise LookupError(part)


def main_step(rows: Rows) -> Row:
    """Returns the step that the aims are about."""
    return find_row(rows, "steps", size=512, batch=16, mode="bf16-mixed")


def times_the_tutorial(rows: Rows) -> float:
    """Returns our evaluations a second at batch 16 over those of the tutorial's loop."""
    ours = main_step(rows)
    tutorial = find_row(rows, "tutorial", size=512)
    return float(ours["evaluations_per_second"] / tutorial["evaluations_per_second"])


def farthest_from_alone(rows: Rows) -> float:
    """Returns how far the loss of an image in a batch is from its loss alone, in 32-true."""
    row = find_row(rows, "company", mode="32-true")
    return max(abs(float(row[name]) - 1) for name in ("smallest", "largest"))


def within_1_percent(x: float) -> bool:
    """Whether a difference is small enough."""
    return x <= 0.01


AIMS = (
    Aim(
        "512 px, batch 16, bf16-mixed: 50 % of the matrix products' peak",
        lambda rows: main_step(rows)["share_of_peak"],
        lambda x: x >= 0.5,
        "{:.0%}",
    ),
    Aim(
        "the same: some 1,000 evaluations a second",
        lambda rows: main_step(rows)["evaluations_per_second"],
        lambda x: x >= 1000,
        "{:.0f}",
    ),
    Aim("the same: 20 times the tutorial's loop", times_the_tutorial, lambda x: x >= 20, "{:.1f}"),
    Aim(
        "a grid of small pairs: 90 % of its time in steps",
        lambda rows: find_row(rows, "grid")["share_in_steps"],
        lambda x: x >= 0.9,
        "{:.0%}",
    ),
    Aim(
        "an image of 2048 px in 16 GB",
        lambda rows: find_row(rows, "large", size=2048, mode="bf16-mixed")["all_bytes"] / 1e9,
        lambda x: x <= 16,
        "{:.1f} GB",
    ),
    Aim(
        "final losses in bf16-mixed within 1 % of 32-true's, on average",
        lambda rows: abs(find_row(rows, "losses", mode="bf16-mixed")["mean"] - 1),
        within_1_percent,
        "{:.2%} away",
    ),
    Aim(
        "a batch in 32-true within 1 % of its images alone",
        farthest_from_alone,
        within_1_percent,
        "{:.2%} away",
    ),
)


def format_table(figures: Mapping[str, Any]) -> str:
    """Returns all figures as Markdown."""
    rows: Rows = figures["parts"]
    blocks = [
        f"Measured by `{figures['command']}` in {figures['minutes']:.1f} minutes on: "
        f"{', '.join(figures['machine'].values())}.",
        table(["aim on one H200", "measured", "reached"], [aim_cells(aim, rows) for aim in AIMS]),
    ]
    if figures["peaks"]:
        peaks = ", ".join(f"{mode} {peak / 1e12:.3g}" for mode, peak in figures["peaks"].items())
        blocks.append(f"Peak of matrix products or convolutions, TFLOP/s: {peaks}.")
    for name, found in rows.items():
        if found:
            blocks += [PARTS[name].title, part_table(PARTS[name], found)]
    return "\n\n".join(blocks)


def aim_cells(aim: Aim, rows: Rows) -> list[str]:
    """Returns an aim beside its figure."""
    try:
        figure = aim.find(rows)
    except LookupError:
        return [aim.text, "not measured", ""]
    return [aim.text, aim.form.format(figure), "yes" if aim.reached(figure) else "**no**"]


def part_table(part: Part, rows: Sequence[Row]) -> str:
    """Returns the rows of a part; one without figures says why in its last column."""
    case = [name for name in CASE_COLUMNS if name in rows[0] and name not in part.columns]
    cells = [
        [
            *(str(row[name]) for name in case),
            *(show_or_nothing(show, row) for show in part.columns.values()),
            one_line(row.get("problem", row.get("without", ""))),
        ]
        for row in rows
    ]
    return table([*case, *part.columns, ""], cells)


CASE_COLUMNS = ("size", "steps", "pairs", "batch", "mode", "what", "way")
"""What a case may be made of, in the order of columns."""


def show_or_nothing(show: Callable[[Row], str], row: Row) -> str:
    """Returns a figure as text; nothing where the row has none."""
    try:
        return show(row)
    except KeyError:
        return ""


def one_line(text: str) -> str:
    """Returns a text that does not break a table."""
    return " ".join(text.split()).replace("|", "/")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def check_markers(path: Path) -> None:
    """Sees that a document has a place for the table.

    Raises:
        UserError: it has not, or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    if not 0 <= text.find(BEGIN) < text.find(END):
        raise UserError(f"{path}: should have a line {BEGIN} and after it a line {END}.")


def write_between_markers(path: Path, table: str) -> None:
    """Replaces what stands between the two markers of a document."""
    check_markers(path)
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    write_text(path, f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")
