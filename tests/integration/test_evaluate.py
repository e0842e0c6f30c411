"""`nst-batch evaluate` on a real grid and a real study: the table, the means, the gallery."""

import csv
import json
import re
from pathlib import Path

import pytest

from nst_lightning.evaluation.columns import FILM_METRICS, METRICS
from nst_lightning.imaging.reading import load_image
from nst_lightning.studies.distances import psnr

from .conftest import Nst


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "evaluation.csv").open(newline="") as file:
        return {row["output"]: row for row in csv.DictReader(file)}


def test_a_grid_is_measured_and_shown(nst: Nst, contents: Path, styles: Path, tmp_path: Path):
    """Two photographs and two paintings as contents, the paintings as styles."""
    both, out = tmp_path / "both", tmp_path / "out"
    both.mkdir()
    for path in (*contents.iterdir(), *styles.iterdir()):
        (both / path.name).write_bytes(path.read_bytes())
    quick = ("--size", 64, "--steps", 12, "--set", "content_weight=100")
    assert nst("grid", both, styles, "-o", out, *quick).returncode == 0
    assert nst("report", out).returncode == 0
    run = nst("evaluate", out, "--no-lpips")
    assert (run.returncode, run.stderr) == (0, "")
    found = rows(out)
    assert len(found) == 8
    empty = {"lpips", "identity_psnr", *FILM_METRICS}
    for row in found.values():
        for name in set(METRICS) - empty:
            assert float(row[name]) >= -1, name
        assert row["feature_extractor"] == "vgg19 936c2d12aedf"

    # The identity test, against the images themselves.
    same = {name for name, row in found.items() if row["identity_psnr"]}
    assert same == {"brush/brush.png", "wood cut/wood cut.png"}
    assert "identity test" in run.stdout
    for name in same:
        made, painting = load_image(out / name), load_image(styles / f"{Path(name).stem}.jpg", 64)
        value = float(found[name]["identity_psnr"])
        assert value == pytest.approx(min(100, psnr(made, painting)), rel=1e-4)
        assert value > 25, "from the content, there is little to change"
        assert name in run.stdout
    for column in ("style_gram", "style_wasserstein", "cfsd"):
        itself = float(found["brush/brush.png"][column])
        assert itself < float(found["cat/brush.png"][column]), column

    # The gallery that was there is drawn anew, with the numbers.
    text = (out / "index.html").read_text()
    data = re.search(r'id="data">(.*?)</script', text, re.DOTALL)
    assert data
    page = json.loads(data[1])
    names = [metric["name"] for metric in page["metrics"]]
    assert names[:2] == ["style_gram", "style_wasserstein"]
    assert "lpips" not in names, "an empty column is not shown"
    for result in page["results"]:
        row = found[result["href"].replace("%20", " ")]
        assert result["metrics"][0] == float(row["style_gram"])
        assert result["layers"]["Wasserstein"][4] == float(row["style_wasserstein_relu5_1"])

    # Again: nothing is measured, or the same numbers; in batches of another size nearly so.
    assert "8 measured, with" in run.stdout
    assert "0 measured, 8 unchanged, with" in nst("evaluate", out, "--no-lpips").stdout
    assert rows(out) == found
    again = nst("evaluate", out, "--no-lpips", "--again", "--json")
    assert rows(out) == found
    outcome = json.loads(again.stdout)
    assert (outcome["results"], outcome["measured"]) == (8, 8)
    assert outcome["means"][0]["ssim"] == pytest.approx(
        sum(float(row["ssim"]) for row in found.values()) / 8, rel=1e-4
    )
    assert set(outcome["identity"]) == same
    assert outcome["page"] == str(out / "index.html")
    assert nst("evaluate", out, "--no-lpips", "-q", "--again", "--batch-size", 1).stdout == ""
    for name, row in rows(out).items():
        for column in set(METRICS) - empty:
            wanted = pytest.approx(float(found[name][column]), rel=1e-3, abs=1e-5)
            assert float(row[column]) == wanted, column

    # A content that is gone costs its rows their numbers, and nobody else.
    (both / "cat.png").unlink()
    partly = nst("evaluate", out, "--no-lpips")
    assert partly.returncode == 0
    assert len(partly.stderr.splitlines()) == 1
    assert "cat.png" in partly.stderr
    assert rows(out)["cat/brush.png"]["ssim"] == ""
    assert rows(out)["cat/brush.png"]["style_gram"] == found["cat/brush.png"]["style_gram"]
    assert rows(out)["rocket/brush.png"] == found["rocket/brush.png"]

    # Known to clean.
    assert "evaluation.csv" in nst("clean", out, "--yes").stdout
    assert not out.exists()


def test_a_sweep_has_its_cases_first_and_means_of_each(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path
):
    table = tmp_path / "sweep.yaml"
    table.write_text("base: {size: 64, steps: 3}\naxes: {style_weight: [1.0, 1.0e+4]}\n")
    out = tmp_path / "out"
    cat, brush = contents / "cat.png", styles / "brush.jpg"
    assert nst("sweep", table, cat, brush, "-o", out).returncode == 0
    run = nst("evaluate", out, "--no-lpips")
    assert run.returncode == 0, run.stderr
    found = rows(out)
    assert list(next(iter(found.values())))[:3] == ["style_weight", "content", "style"]
    head, *cases = run.stdout.splitlines()[:3]
    assert head.split()[:3] == ["style_weight", "results", "Gram"]
    by_weight = {float(row["style_weight"]): row for row in found.values()}
    assert float(by_weight[1.0]["ssim"]) > float(by_weight[1e4]["ssim"])
    for line in cases:
        weight, count, gram = line.split()[:3]
        assert count == "1"
        assert float(gram) == pytest.approx(float(by_weight[float(weight)]["style_gram"]), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "words"),
    [("no-such", "no such folder"), ("", "manifest.jsonl"), ("cat.png", "is a file")],
)
def test_what_is_no_output_folder_is_refused(nst: Nst, contents: Path, name: str, words: str):
    run = nst("evaluate", contents / name)
    assert run.returncode == 2
    assert words in run.stderr
    assert len(run.stderr.splitlines()) == 1
