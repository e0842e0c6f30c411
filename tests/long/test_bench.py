"""`nst-batch bench`, small."""

import json
from pathlib import Path

import pytest

from tests.integration.conftest import EXAMPLES, Nst

PAIR = (EXAMPLES / "contents" / "chelsea.jpg", EXAMPLES / "styles" / "brush_flow.jpg")


def test_all_figures(nst: Nst, tmp_path: Path):
    out = tmp_path / "bench.json"
    run = nst(
        "bench", *PAIR, "--sizes", "48", "--batches", "1,2", "--rounds", 2, "--until", "48:6",
        "--scales", "24:4,48:3:1.5", "--memory", "48", "--weights", "random", "-o", out,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    figures = json.loads(out.read_text())
    one, two = figures["steps"]
    assert set(one["seconds"]) == {
        "tutorial", "bare 32-true", "ours 32-true", "bare bf16-mixed", "ours bf16-mixed",
    }  # fmt: skip
    assert "tutorial" not in two["seconds"]
    for case in (one, two):
        for precision, ours in case["ours"].items():
            per_second = case["batch"] / case["seconds"][f"ours {precision}"]
            assert ours["evaluations_per_second"] == pytest.approx(per_second)
    (until,) = figures["until"]
    assert until["tutorial"]["seconds"] > 0
    assert set(until["ours"]) == {"32-true", "bf16-mixed"}
    assert until["scales"]["24:4:1,48:3:1.5"]["style"] > 0
    assert {case["precision"] for case in figures["memory"]} == {"32-true", "bf16-mixed"}
    assert all(2**27 < case["bytes"] < 2**35 for case in figures["memory"])
    assert "48×36" in run.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--sizes", "big"], "whole numbers"),
        (["--precisions", "8-bit"], "should be one of"),
        (["--until", "64:x"], "steps"),
    ],
)
def test_one_sentence(nst: Nst, tmp_path: Path, words: list[str], sentence: str):
    run = nst("bench", *PAIR, *words, "-o", tmp_path / "bench.json")
    assert run.returncode == 2
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr
