"""curves.png: loss, time per step and improvement of one or several images."""

import io
import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst_lightning.drawing.loss_history import Row
from nst_lightning.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = 12
"""Curves that a legend can still name; more are coloured by their order."""


def draw_curves(path: Path, histories: Mapping[str, Sequence[Row]], title: str = "") -> None:
    """Draws three plots: loss (logarithmic), milliseconds per step, improvement per step.

    Args:
        path: a PNG.
        histories: rows by label; one alone is drawn with its terms, several are overlaid.
        title: above all.

    Raises:
        OSError: it cannot be written.
    """
    # matplotlib takes half a second to import, and pyplot would keep global state.
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.2), layout="constrained", dpi=110)
    loss, speed, gain = figure.subplots(1, 3)
    many = len(histories) > 1
    palette = colormaps["tab10" if len(histories) <= 10 else "turbo"]
    named = {escape_text(label): history for label, history in histories.items()}
    title = escape_text(title)
    for i, (label, history) in enumerate(named.items()):
        colour: Any = palette(i) if len(histories) <= 10 else palette(i / (len(histories) - 1))
        steps = [row["step"] for row in history]
        totals = [row["total"] for row in history]
        # One image's total is often its style: a broader line shows under that.
        width = 1.3 if many else 3.5
        draw_line(loss, steps, totals, colour, label if many else "total", width)
        if not many:
            for j, term in enumerate(("content", "style", "tv"), start=1):
                values = [row[term] for row in history]
                if any(value > 0 for value in values):
                    draw_line(loss, steps, values, palette(j), term)
        times = [row["seconds"] for row in history]
        each = [1000 * (b - a) for a, b in itertools.pairwise(times)]
        draw_line(speed, steps[1:], each, colour, label)
        draw_line(gain, steps[1:], [row["improvement"] for row in history[1:]], colour, label)
    loss.set(title="weighted loss", xlabel="step", yscale="log")
    speed.set(title="time per step", xlabel="step", ylabel="ms", ylim=(0, time_limit(histories)))
    # Early steps gain tens of per cent, late ones hundredths, and some lose.
    gain.set(title="improvement on the step before", xlabel="step", ylabel="%")
    gain.set_yscale("symlog", linthresh=0.1)
    gain.axhline(0, color="0.6", linewidth=0.8)
    for axes in (loss, speed, gain):
        axes.grid(True, color="0.9", linewidth=0.7)
        axes.set_axisbelow(True)
    if many and len(histories) <= NAMED:
        figure.legend(*loss.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    elif many:
        first, last = next(iter(named)), list(named)[-1]
        figure.suptitle(f"{title}  (from violet, {first}, to red, {last})".strip(), fontsize=10)
    else:
        loss.legend(fontsize=8)
    if title and not (many and len(histories) > NAMED):
        figure.suptitle(title, fontsize=11)
    data = io.BytesIO()
    with warnings.catch_warnings():  # a script that the font lacks is shown as boxes
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(data, format="png")
    write_bytes(path, data.getbuffer())


def draw_line(
    axes: "Axes",
    x: Sequence[float],
    y: Sequence[float],
    colour: Any,
    label: str,
    width: float = 1.3,
) -> None:
    """Draws one line; what is not finite is left out, and a single value is a dot."""
    points = [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(b)]
    marker = "o" if len(points) == 1 else ""
    xs, ys = [a for a, _ in points], [b for _, b in points]
    axes.plot(xs, ys, color=colour, label=label, linewidth=width, marker=marker)


def escape_text(text: str) -> str:
    """Returns a name that matplotlib shows as it was: no mathematics between dollars, and no
    leading underscore, which would keep it out of the legend."""
    return text.replace("$", r"\$").replace("_", " _", 1 if text.startswith("_") else 0)


def time_limit(histories: Mapping[str, Sequence[Row]]) -> float | None:
    """Returns the top of the time axis: twice the time that nine steps in ten keep to, so that one
    hiccup does not flatten the rest."""
    each = sorted(
        1000 * (b["seconds"] - a["seconds"])
        for history in histories.values()
        for a, b in itertools.pairwise(history)
    )
    return 2 * each[int(0.9 * (len(each) - 1))] if each and each[-1] > 0 else None
