r"""Draws docs/fidelity-gatys.png from the history of a run of `gatys-code`.

nst-batch run Tuebingen_Neckarfront.jpg vangogh_starry_night.jpg \
    --preset gatys-code --curves -o it.png
python docs/draw_fidelity.py it/history.csv
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

from nst_lightning.drawing.loss_history import read_history

PUBLISHED = {
    512: [1388.5, 707.9, 538.0, 469.4, 433.8, 411.7, 395.2, 383.9, 375.1, 368.5],
    800: [393.7, 318.6, 288.7, 272.2],
}
"""Total loss in thousands after each 50 evaluations, by the shorter side: the output cells of
leongatys/PytorchNeuralStyleTransfer, NeuralStyleTransfer.ipynb."""


def draw(history: Path, path: Path) -> None:
    """Draws the published losses and those of a run, scale by scale, and prints their ratios."""
    rows = read_history(history)
    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=110)
    begun = 0
    for axes, (size, published) in zip(figure.subplots(1, 2), PUBLISHED.items(), strict=True):
        count = 50 * len(published)
        ours = [row["total"] / 1e3 for row in rows[begun : begun + count]]
        begun += count
        at = range(50, count + 1, 50)
        axes.plot(range(1, len(ours) + 1), ours, label="this program")
        axes.plot(at, published, "o", label="published")
        axes.set(yscale="log", xlabel="evaluations", ylabel="total loss, thousands")
        axes.set(title=f"shorter side {size} px", ylim=(min(published) / 1.5, 3000))
        axes.set_yticks([200, 300, 500, 1000, 2000], minor=False)
        axes.yaxis.set_major_formatter("{x:.0f}")
        axes.yaxis.set_minor_formatter("")
        axes.legend()
        for n, loss in zip(at, published, strict=True):
            if n <= len(ours):
                print(f"{size} px, {n}: {ours[n - 1]:.1f}, {ours[n - 1] / loss:.3f} of published")
    figure.savefig(path)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(__file__).parent / "fidelity-gatys.png")
