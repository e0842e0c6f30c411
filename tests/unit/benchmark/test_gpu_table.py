"""The table says what was reached, what was not and what there is no figure for."""

from pathlib import Path
from typing import Any

import pytest

from nst_lightning.benchmark.gpu_table import (
    AIMS,
    BEGIN,
    END,
    aim_cells,
    check_markers,
    format_table,
    write_between_markers,
)
from nst_lightning.cli.bench_gpu import bench_gpu
from nst_lightning.errors import UserError

STEP = {"size": 512, "batch": 16, "mode": "bf16-mixed", "seconds": {"ours": 0.016}}
ROWS: dict[str, list[dict[str, Any]]] = {
    "steps": [
        {
            **STEP, "evaluations_per_second": 1000.0, "tflop_per_second": 400.0,
            "share_of_peak": 0.49, "bare_over_ours": 0.8, "without": "autograd: out of memory",
        },
        {"size": 512, "batch": 32, "mode": "32-true", "problem": "out of\nmemory | here"},
    ],
    "tutorial": [{"size": 512, "seconds": 0.025, "evaluations_per_second": 40.0}],
    "large": [{"size": 2048, "batch": 1, "mode": "bf16-mixed", "all_bytes": 16.5e9}],
    "company": [
        {"mode": "32-true", "runs": 4, "mean": 1.0, "smallest": 0.98, "largest": 1.004},
    ],
    "losses": [{"mode": "bf16-mixed", "runs": 3, "mean": 0.995, "smallest": 0.9, "largest": 1.1}],
}  # fmt: skip
FIGURES = {
    "command": "nst-batch bench-gpu a b",
    "minutes": 1.25,
    "machine": {"device": "a machine", "torch": "torch 0"},
    "peaks": {"bf16-mixed": 8e14},
    "parts": ROWS,
}


def test_aims_beside_their_figures():
    found = [aim_cells(aim, ROWS)[1:] for aim in AIMS]
    assert found == [
        ["49%", "**no**"],
        ["1000", "yes"],
        ["25.0", "yes"],
        ["not measured", ""],
        ["16.5 GB", "**no**"],
        ["0.50% away", "yes"],
        ["2.00% away", "**no**"],
    ]


def test_a_row_with_a_problem_measures_nothing():
    rows = {"steps": [{**STEP, "problem": "out of memory"}]}
    assert {aim_cells(aim, rows)[1] for aim in AIMS} == {"not measured"}


def test_the_text():
    text = format_table(FIGURES)
    assert "`nst-batch bench-gpu a b` in 1.2 minutes on: a machine, torch 0." in text
    assert "bf16-mixed 800." in text
    lines = text.splitlines()
    head = next(line for line in lines if line.startswith("| size | batch | mode | ms"))
    step, problem = lines[lines.index(head) + 2 :][:2]
    assert step == (
        "| 512 | 16 | bf16-mixed | 16.00 | 1000.0 | 400 | 49 % | 1.25 |  | "
        "autograd: out of memory |"
    )
    assert problem == "| 512 | 32 | 32-true |  |  |  |  |  |  | out of memory / here |"
    assert head.count("|") == step.count("|") == problem.count("|")


def test_only_what_stands_between_the_markers_is_replaced(tmp_path: Path):
    path = tmp_path / "page.md"
    path.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nThe end.\n")
    for text in ("one", "two"):
        write_between_markers(path, text)
        assert path.read_text() == f"# Title\n\n{BEGIN}\n\n{text}\n\n{END}\n\nThe end.\n"


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}\n{BEGIN}"])
def test_a_page_without_markers(tmp_path: Path, text: str):
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises(UserError, match="should have a line"):
        check_markers(path)


def test_nothing_is_measured_for_such_a_page(tmp_path: Path):
    path = tmp_path / "page.md"
    path.write_text("no place\n")
    with pytest.raises(UserError, match="should have a line"):
        bench_gpu(tmp_path / "content.png", tmp_path / "style.png", into=path)
    assert path.read_text() == "no place\n"


def test_a_part_that_there_is_not(tmp_path: Path):
    with pytest.raises(UserError, match="part 'girds' should be one of steps, tutorial, grid"):
        bench_gpu(tmp_path / "content.png", tmp_path / "style.png", only="girds")


def test_no_page(tmp_path: Path):
    with pytest.raises(UserError, match="cannot be read"):
        check_markers(tmp_path / "none.md")


def test_the_project_has_a_place_for_it():
    check_markers(Path(__file__).parents[3] / "docs" / "performance.md")
