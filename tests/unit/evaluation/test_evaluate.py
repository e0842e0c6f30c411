"""Measuring results of an output folder, by a small random network."""

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from nst_lightning.evaluation.columns import FILM_METRICS, METRICS, STYLE_LAYERS, SUMMARY
from nst_lightning.evaluation.feature_extractor import FeatureExtractor
from nst_lightning.evaluation.image_values import EXACT
from nst_lightning.evaluation.measuring import Evaluation, evaluate, evaluate_changed
from nst_lightning.evaluation.references import blend_styles, style_statistics
from nst_lightning.evaluation.subject import find_subjects
from nst_lightning.evaluation.table import (
    format_means,
    means,
    read_current,
    read_evaluation,
    write_evaluation,
)
from nst_lightning.imaging.reading import load_image
from nst_lightning.imaging.resize import resize
from nst_lightning.imaging.writing import write_image
from nst_lightning.store.records import Record
from tests.results_folder import SETTINGS, record, write_manifest

CPU = torch.device("cpu")
CONTENT, STYLE = "../in/content.png", "../in/style.png"


@pytest.fixture(scope="module")
def extractor() -> FeatureExtractor:
    return FeatureExtractor("vgg16", "random", CPU)


def noise(path: Path, seed: int, size: tuple[int, int] = (48, 36)) -> Path:
    """Patches of random colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = torch.rand(9, 12, 3, generator=torch.Generator().manual_seed(seed)) * 255
    small = Image.fromarray(values.byte().numpy())
    small.resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def folder(root: Path, records: list[Record]) -> Path:
    """An output folder whose results are noise, each its own."""
    out = root / "out"
    noise(root / "in" / "content.png", 100, (64, 48))
    noise(root / "in" / "style.png", 101, (60, 70))
    noise(root / "in" / "other.png", 102, (50, 50))
    for i, one in enumerate(records):
        noise(out / one.output, i)
    write_manifest(out, records)
    return out


def measured(out: Path, records: list[Record], network: FeatureExtractor, **how: Any) -> Evaluation:
    return evaluate(find_subjects(records, out), network, CPU, **how)


THREE = [record(f"c/{name}.png", CONTENT, STYLE) for name in "abd"]
WITHOUT = {"lpips", "identity_psnr", *FILM_METRICS}


def test_every_column_is_filled(tmp_path: Path, extractor: FeatureExtractor) -> None:
    found = measured(folder(tmp_path, THREE), THREE, extractor)
    assert found.warnings == []
    for values in found.values:
        assert set(values) == set(METRICS) - WITHOUT
        for name in ("style_gram", "style_wasserstein"):
            layers = [values[f"{name}_{layer}"] for layer in STYLE_LAYERS]
            assert values[name] == pytest.approx(sum(layers) / 5)
    assert len({values["style_gram"] for values in found.values}) == 3


def test_numbers_depend_neither_on_the_batch_nor_on_the_run(
    tmp_path: Path, extractor: FeatureExtractor
) -> None:
    records = [*THREE, record("c/wide.png", CONTENT, STYLE), record("c/e.png", CONTENT, CONTENT)]
    out = folder(tmp_path, records)
    noise(out / "c" / "wide.png", 7, (60, 40))  # another shape, in the midst of the others
    together = measured(out, records, extractor).values
    assert measured(out, records, extractor).values == together
    apart = measured(out, records, extractor, batch_size=1).values
    for one, other in zip(together, apart, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)
    alone = measured(out, records[3:4], extractor).values
    assert alone[0] == pytest.approx(together[3], rel=1e-4, abs=1e-6)


def test_the_content_itself_is_perfect_in_content(
    tmp_path: Path, extractor: FeatureExtractor
) -> None:
    one = [record("c/same.png", CONTENT, CONTENT)]
    out = folder(tmp_path, one)
    noise(out / "c" / "same.png", 100, (64, 48))
    values = measured(out, one, extractor).values[0]
    for name in ("content_distance", "cfsd", "style_gram", "colour_distance"):
        assert values[name] == pytest.approx(0, abs=1e-5), name
    assert values["style_wasserstein"] == pytest.approx(0, abs=1e-3)
    assert values["ssim"] == pytest.approx(1)
    assert values["edge_agreement"] == pytest.approx(1)


def resampled(output: str, content: str, how: object) -> Record:
    """A result whose record holds this as its `resampling`, or no such setting for None."""
    settings = SETTINGS if how is None else {**SETTINGS, "resampling": how}
    return record(output, content, STYLE, settings=settings, finished="then")


def test_originals_are_resized_as_the_result_was_made(
    tmp_path: Path, extractor: FeatureExtractor
) -> None:
    """Each result is a painting of single pixels, resized in one of both ways, all in one batch."""
    ways = {"bicubic": "bicubic", "bilinear": "bilinear", "none": None, "odd": "lanczos", "7": [7]}
    records = [resampled(f"c/{name}.png", STYLE, how) for name, how in ways.items()]
    out = folder(tmp_path, records)
    painting = torch.rand(1, 3, 70, 60, generator=torch.Generator().manual_seed(0))
    write_image(tmp_path / "in" / "style.png", painting[0])
    for name in ways:
        how = name if name == "bilinear" else "bicubic"
        made = resize(load_image(tmp_path / "in" / "style.png"), 35, 30, how=how)
        write_image(out / "c" / f"{name}.png", made[0])
    for values in measured(out, records, extractor).values:
        assert values["ssim"] == pytest.approx(1, abs=1e-3)
        for name in ("content_distance", "style_gram", "colour_distance"):
            assert values[name] == pytest.approx(0, abs=0.05), "but for 8 bits"
    crossed = [
        resampled("c/bicubic.png", STYLE, "bilinear"),
        resampled("c/bilinear.png", STYLE, None),
    ]
    for values in measured(out, crossed, extractor).values:
        assert values["ssim"] < 0.95
        for name in ("content_distance", "style_gram", "colour_distance"):
            assert values[name] > 0.1, name


def test_a_row_holds_for_one_resampling(tmp_path: Path, extractor: FeatureExtractor) -> None:
    """What was measured bicubically, as all was before 0.4.0, stays where that is still right."""
    records = [resampled(f"c/{name}.png", CONTENT, None) for name in "ab"]
    out = folder(tmp_path, records)
    before = find_subjects(records, out)
    write_evaluation(out, before, measured(out, records, extractor).values, extractor.name)
    now = [resampled(f"c/{name}.png", CONTENT, "bicubic") for name in "a"]
    now += [resampled("c/b.png", CONTENT, "bilinear")]
    found = evaluate_changed(out, find_subjects(now, out), extractor, CPU)
    assert found.measured == 1
    fresh = measured(out, now, extractor).values
    for values, wanted in zip(found.values, fresh, strict=True):
        assert values == pytest.approx(wanted, rel=1e-4)
    assert found.values[1]["ssim"] != read_evaluation(out, records)["c/b.png"]["ssim"]


def test_a_blend_lies_between_its_parts(tmp_path: Path, extractor: FeatureExtractor) -> None:
    parts = [{"style": STYLE, "share": 3.0}, {"style": "../in/other.png", "share": 1.0}]
    blended = [record("c/a.png", CONTENT, STYLE, blend=parts)]
    one = find_subjects(blended, tmp_path / "out")[0]
    assert [(path.name, share) for path, share in one.style] == [("style.png", 3), ("other.png", 1)]
    out = folder(tmp_path, blended)
    images = [load_image(tmp_path / "in" / name, 48) for name in ("style.png", "other.png")]
    statistics = [style_statistics(extractor, image) for image in images]
    style = blend_styles([(statistics[0], 3.0), (statistics[1], 1.0)]).statistics
    for layer in STYLE_LAYERS:
        for i in (0, 1):
            a, b = (each.moments[layer][i] for each in statistics)
            assert torch.allclose(style.moments[layer][i], 0.75 * a + 0.25 * b, rtol=1e-5)
    found = measured(out, blended, extractor).values[0]
    plain = measured(out, [record("c/a.png", CONTENT, STYLE)], extractor).values[0]
    assert found["style_gram"] != plain["style_gram"]
    assert found["ssim"] == plain["ssim"]
    whole = [{"style": STYLE, "share": 0.2}]  # shares of any sum
    same = measured(out, [record("c/a.png", CONTENT, STYLE, blend=whole)], extractor).values[0]
    assert same == pytest.approx(plain)


def test_what_is_missing_costs_only_what_needs_it(
    tmp_path: Path, extractor: FeatureExtractor
) -> None:
    records = [
        record("c/a.png", CONTENT, STYLE),
        record("c/b.png", "../in/gone.png", STYLE),
        record("c/d.png", CONTENT, "../in/broken.png"),
        record("c/e.png", CONTENT, STYLE),
        record("c/f.png", "../in/gone.png", STYLE),
        record("c/thin.png", CONTENT, STYLE),
    ]
    out = folder(tmp_path, records)
    (tmp_path / "in" / "broken.png").write_bytes(b"no image")
    (out / "c" / "e.png").unlink()
    noise(out / "c" / "thin.png", 3, (40, 14))
    found = measured(out, records, extractor)
    whole, no_content, no_style, gone, _, thin = found.values
    assert set(whole) == set(METRICS) - WITHOUT
    of_content = {"content_distance", "ssim", "edge_agreement", "cfsd"}
    assert set(no_content) == set(whole) - of_content
    assert set(no_style) == of_content | {"total_variation"}
    assert gone == {}
    assert set(thin) == {"total_variation", "ssim", "edge_agreement", "colour_distance"}
    named = ["e.png", "gone.png", "broken.png", "thin.png"]
    assert len(found.warnings) == 4, "each file once"
    for name in named:
        assert any(name in warning for warning in found.warnings)


def test_a_style_too_small_for_the_network_is_named(
    tmp_path: Path, extractor: FeatureExtractor
) -> None:
    one = [record("c/a.png", CONTENT, STYLE)]
    out = folder(tmp_path, one)
    noise(tmp_path / "in" / "style.png", 1, (48, 5))
    found = measured(out, one, extractor)
    assert "style_gram" not in found.values[0]
    assert "cfsd" in found.values[0]
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith(str(out / STYLE))
    assert "16 pixels" in found.warnings[0]


def test_the_identity_test_wants_one_image_on_both_sides(
    tmp_path: Path, extractor: FeatureExtractor
) -> None:
    same = {"content_sha256": "x", "style_sha256": "x"}
    texture = {"content_layers": {}, "style_layers": {"relu1_1": 1.0}}
    records = [
        record("c/a.png", CONTENT, CONTENT, **same),
        record("c/b.png", CONTENT, CONTENT, **same),
        record("c/d.png", CONTENT, STYLE, content_sha256="x", style_sha256="y"),
        record("c/e.png", CONTENT, CONTENT, **same, settings=texture),
        record("c/f.png", CONTENT, CONTENT),
        record("c/g.png", CONTENT, CONTENT, **same, blend=[{"style": STYLE, "share": 1}]),
    ]
    out = folder(tmp_path, records)
    noise(out / "c" / "b.png", 100, (64, 48))
    values = measured(out, records, extractor).values
    assert ["identity_psnr" in each for each in values] == [True, True] + 4 * [False]
    assert 3 < values[0]["identity_psnr"] < 30
    assert values[1]["identity_psnr"] == EXACT, "an image that came back exactly"


def test_lpips_sees_results_and_contents(tmp_path: Path, extractor: FeatureExtractor) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def lpips(images: Tensor, contents: Tensor) -> Tensor:
        seen.append((images, contents))
        return torch.arange(len(images)) / 10

    out = folder(tmp_path, THREE)
    found = measured(out, THREE, extractor, lpips=lpips)
    assert [values["lpips"] for values in found.values] == pytest.approx([0, 0.1, 0.2])
    (images, contents) = seen[0]
    assert torch.equal(images[1:2], load_image(out / "c" / "b.png"))
    assert contents.shape == images.shape
    assert torch.equal(contents[0], contents[2])


def test_the_table_and_its_means(tmp_path: Path) -> None:
    cases = [{"weight": w, "style": s} for w in ("1", "2") for s in ("plain",)]
    records = [
        record(f"{case['weight']}/{c}/s.png", f"../{c}.png", "../s.png", case=case, finished="now")
        for case in cases
        for c in "ab"
    ] + [record("failed.png", "../a.png", "../s.png", status="failed")]
    chosen = find_subjects(records, tmp_path)
    assert len(chosen) == 4
    values = [{"ssim": 0.5, "lpips": 0.25}, {"ssim": 0.1}, {"ssim": 1 / 3}, {}]
    path = write_evaluation(tmp_path, chosen, values, "vgg16 abc")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ["weight", "case style", "content", "style", *METRICS]
    assert list(rows[0]) == [*columns, "output", "finished", "inputs", "feature_extractor"]
    assert [rows[2][name] for name in ("weight", "content", "ssim", "lpips", "output")] == [
        "2", "a", "0.333333", "", "2/a/s.png",
    ]  # fmt: skip
    found = means(chosen, values)
    assert [row["case"] for row in found] == [
        {"weight": "1", "case style": "plain"}, {"weight": "2", "case style": "plain"},
    ]  # fmt: skip
    assert [row["results"] for row in found] == [2, 1], "of the last nothing could be measured"
    assert [row["ssim"] for row in found] == pytest.approx([0.3, 1 / 3])
    assert [row["lpips"] for row in found] == [0.25, None]
    text = format_means(found)
    assert text[0].split() == ["weight", "case", "style", "results", "LPIPS", "SSIM"]
    assert text[1].split() == ["1", "plain", "2", "0.25", "0.3"]
    assert set(SUMMARY) < set(METRICS)

    read = read_evaluation(tmp_path, records)
    assert read["1/a/s.png"] == {"ssim": 0.5, "lpips": 0.25}
    records[0] = records[0].with_facts(finished="later")
    assert "1/a/s.png" not in read_evaluation(tmp_path, records), "it was made again since"
    path.write_text("output,finished,ssim\n1/b/s.png,now,much\n2/a/s.png,now,inf\nx.png,now,1\n")
    assert read_evaluation(tmp_path, records[1:3]) == {"1/b/s.png": {}, "2/a/s.png": {}}
    path.write_bytes(b"output,finished\n\xff")
    assert read_evaluation(tmp_path, records) == {}
    assert read_evaluation(tmp_path / "no", records) == {}


class Counting:
    """Counts the images that it compares."""

    def __init__(self) -> None:
        self.images = 0

    def __call__(self, images: Tensor, others: Tensor) -> Tensor:
        self.images += len(images)
        return (images - others).abs().mean(dim=(1, 2, 3))


def test_only_what_changed_is_measured_again(tmp_path: Path, extractor: FeatureExtractor) -> None:
    records = [
        *(record(f"c/{name}.png", CONTENT, STYLE, finished="then") for name in "abd"),
        record("c/e.png", "../in/other.png", STYLE, finished="then"),
    ]
    out = folder(tmp_path, records)
    counted = Counting()

    def update(**how: Any) -> tuple[int, str]:
        """Returns how many results were measured, and the table that was written."""
        chosen, before = find_subjects(records, out), counted.images
        found = evaluate_changed(out, chosen, extractor, CPU, batch_size=1, **how)
        path = write_evaluation(out, chosen, found.values, extractor.name)
        assert counted.images - before in (0, found.measured)
        return found.measured, path.read_text()

    def fresh(**how: Any) -> str:
        return update(again=True, **how)[1]

    first = update()
    assert first[0] == 4
    assert update() == (0, first[1])
    # A metric that could not be measured before.
    measured, with_lpips = update(lpips=counted)
    assert (measured, with_lpips) == (4, fresh(lpips=counted))
    assert update(lpips=counted) == (0, with_lpips)
    assert update() == (0, with_lpips), "what is known is not forgotten"
    # A result that was made again, a content and a style that were replaced.
    records[1] = records[1].with_facts(finished="later")
    assert update(lpips=counted)[0] == 1
    noise(out / "c" / "a.png", 50)
    assert update(lpips=counted)[0] == 1
    noise(tmp_path / "in" / "other.png", 51, (51, 50))
    assert update(lpips=counted)[0] == 1
    noise(tmp_path / "in" / "style.png", 52, (61, 70))
    measured, table = update(lpips=counted)
    assert (measured, table) == (4, fresh(lpips=counted))
    # What cannot be read is tried, and named, each time.
    (tmp_path / "in" / "other.png").unlink()
    for _ in range(2):
        found = evaluate_changed(out, find_subjects(records, out), extractor, CPU, lpips=counted)
        assert found.measured == 1
        assert "other.png" in found.warnings[0]
    # Another network, and a table of an older version or of another kind, leave nothing to keep.
    assert read_current(out, find_subjects(records, out), "vgg19 abc", False) == {}
    text = table.replace("inputs,feature_extractor", "were,yardstick")
    for other in (text, "no table", ""):
        (out / "evaluation.csv").write_text(other)
        assert read_current(out, find_subjects(records, out), extractor.name, False) == {}
    (out / "evaluation.csv").write_text(text)
    assert len(read_evaluation(out, records)) == 4, "the gallery still shows it"


def test_nothing_but_the_command_imports_torch(tmp_path: Path) -> None:
    probe = (
        "import sys, nst_lightning.cli.app, nst_lightning.evaluation.subject\n"
        "import nst_lightning.evaluation.table, nst_lightning.report.gallery\n"
        "assert 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
