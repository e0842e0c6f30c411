"""bfloat16 beside float32: `python tests/benchmarks/precision.py SIZE STEPS CONTENT… -- STYLE…`.

Every content with every style from content, noise and gray: the float32 loss of the final image
in each precision, from the same start.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from nst_lightning.benchmark.cases import Bench, Ours, true_terms
from nst_lightning.run.memory import keep_freed_memory
from nst_lightning.settings import build

PRECISIONS = ("32-true", "bf16-mixed")


def main(size: int, steps: int, contents: Sequence[Path], styles: Sequence[Path]) -> None:
    """Print a line per run and the course of the ratios."""
    keep_freed_memory()
    ratios = []
    for content in contents:
        for style in styles:
            for init in ("content", "noise", "gray"):
                settings = build({"scales": 1, "init": init})
                bench = Bench.load(settings, content, style, PRECISIONS)
                totals = []
                for precision in PRECISIONS:
                    ours = Ours(bench.model(size), precision)
                    for _ in range(steps):
                        ours.step()
                    totals.append(true_terms(ours.model)["total"])
                ratios.append(totals[1] / totals[0])
                print(
                    f"{content.stem} × {style.stem} from {init}: {totals[0]:.4g} in float32, "
                    f"{totals[1]:.4g} in bfloat16, {ratios[-1]:.4f}",
                    flush=True,
                )
    near = sum(abs(ratio - 1) <= 0.01 for ratio in ratios)
    print(
        f"{len(ratios)} runs: mean {sum(ratios) / len(ratios):.3f}, median {median(ratios):.3f}, "
        f"{min(ratios):.3f} to {max(ratios):.3f}, {near} within 1 %"
    )


if __name__ == "__main__":
    divide = sys.argv.index("--")
    main(
        int(sys.argv[1]),
        int(sys.argv[2]),
        [Path(name) for name in sys.argv[3:divide]],
        [Path(name) for name in sys.argv[divide + 1 :]],
    )
