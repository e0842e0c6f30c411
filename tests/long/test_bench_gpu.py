"""`nst-batch bench-gpu`, small and on the CPU."""

import json
from pathlib import Path

from tests.integration.conftest import EXAMPLES, Nst

PAIR = (EXAMPLES / "contents" / "chelsea.jpg", EXAMPLES / "styles" / "brush_flow.jpg")

BUT_COMPILED = "steps,tutorial,grid,large,losses,company,auto,memory,copies"
"""All but `variants`, where torch.compile alone takes a minute."""


def test_every_part(nst: Nst, tmp_path: Path):
    out, page = tmp_path / "figures.json", tmp_path / "page.md"
    page.write_text("<!-- gpu table -->\nearlier figures\n<!-- end of gpu table -->\n")
    run = nst(
        "bench-gpu", *PAIR, "--into", page, "-o", out, "--only", BUT_COMPILED,
        "--weights", "random", "--accelerator", "cpu",
        "--sizes", "64", "--batches", "1", "--precisions", "32-true,TF32", "--rounds", 1,
        "--large", "80", "--pairs", 2, "--grid", "64:2", "--exact", "64:2",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    parts = json.loads(out.read_text())["parts"]
    for name, rows in parts.items():
        for row in rows:
            if row.get("mode") == "TF32":
                assert row["problem"] == "TF32 is a precision of CUDA alone."
            else:
                assert "problem" not in row, (name, row)
    assert [row["mode"] for row in parts["steps"]] == ["32-true", "TF32"]
    (grid,) = parts["grid"]
    assert grid["seconds_in_steps"] > 0
    assert 0 < grid["seconds_in_batches"] < grid["seconds"]
    assert parts["losses"][-1]["mode"] == "32-true, moved"
    assert {row["batch"] for row in parts["auto"]} == {1}
    text = page.read_text()
    assert "earlier figures" not in text
    assert "| an image of 2048 px in 16 GB | not measured |  |" in text
