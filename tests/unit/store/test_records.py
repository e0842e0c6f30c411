"""A record as a line of JSON, and back."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from nst_lightning.formats import MAX_PIXELS
from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import Source, StylePart
from nst_lightning.settings import build
from nst_lightning.store.job import Job
from nst_lightning.store.records import SCHEMA, Record, make_record, parse_record

RESUMED = """{"output": "astronaut/brush_flow.png", "status": "done", "content": "../a.jpg",
"content_sha256": "a391656e", "style": "../s/brush_flow.jpg", "style_sha256": "d9b45d5b",
"fingerprint": "41f709c1", "algorithm": 3, "finished": "2026-11-24T10:52:36.008+00:00",
"weights_checksum": "936c2d12", "losses": {"content": 11.48, "style": 5.72, "tv": 0.0,
"total": 17.2}, "unweighted": {"content": 11.48, "style": 0.07155399322509766}, "steps": 60,
"resumed": [13], "seconds": 31.221, "device": "cpu", "resolved": {"learning_rate": 1.0,
"accelerator": "cpu", "precision": "32-true", "width": 256, "height": 256}, "settings":
{"network": "vgg19", "scales": [{"size": 256, "steps": 60, "content_weight": 1.0}],
"learning_rate": null, "max_pixels": 1000}, "versions": {"python": "3.11.7",
"nst-lightning": "0.1.0"}, "bytes": 196725}"""
BLEND = """{"output": "c/b+p.jpg", "status": "done", "content": "../c.jpg", "content_sha256":
"a391656e", "style": "../b.jpg", "style_sha256": "1951ce61", "blend": [{"style": "../b.jpg",
"share": 0.7}, {"style": "../p.jpg", "share": 0.3, "region": "#ff0000", "mask": "../p.mask.png"}],
"content_mask": "../c.mask.png", "masks_sha256": "00", "fingerprint": "55f21a33", "algorithm": 3,
"case": {"layers": "conv_1"}, "float32_from": 4, "losses": {"content": null}, "by": {"job": "12_1",
"rank": 2}}"""
FAILED = """{"output": "torn/s.png", "status": "failed", "content": "../torn.jpg",
"content_sha256": "", "fingerprint": "", "algorithm": 3, "finished": "2026-11-24T10:52:36",
"reason": "../torn.jpg: cannot be read"}"""


@pytest.mark.parametrize("line", [RESUMED, BLEND, FAILED])
def test_lines_of_0_1_0_are_read_and_kept_as_they_were(line: str):
    record = parse_record(line)
    assert record is not None
    assert record.schema_version == 1
    assert record.data() == json.loads(line)
    assert parse_record(record.text()) == record


def test_what_lines_of_0_1_0_say():
    resumed, blend, failed = map(parse_record, (RESUMED, BLEND, FAILED))
    assert resumed is not None
    assert blend is not None
    assert failed is not None
    assert (resumed.status, resumed.stem, resumed.steps) == ("done", "astronaut/brush_flow", 60)
    assert (resumed.resolved.width, resumed.max_pixels, resumed.total_loss) == (256, 65536, 17.2)
    assert [(part.style, part.region) for part in blend.blend] == [
        ("../b.jpg", None), ("../p.jpg", "#ff0000"),
    ]  # fmt: skip
    assert (blend.float32_from, blend.by["rank"], blend.case) == (4, 2, {"layers": "conv_1"})
    assert math.isnan(blend.total_loss)
    assert (failed.status, failed.max_pixels, failed.losses) == ("failed", MAX_PIXELS, {})


@pytest.mark.parametrize(
    "line",
    ["", "{", "[]", "3", '{"status": "done"}', '{"output": 3}', '{"output": "a", "status": "x"}',
     '{"output": "a", "losses": []}', b'{"output": "\xff"}', "[" * 10_000],
)  # fmt: skip
def test_what_is_no_record_counts_as_absent(line: str | bytes):
    assert parse_record(line) is None


def test_a_record_is_written_with_its_schema_and_without_what_is_absent(tmp_path: Path):
    content = Source(tmp_path / "c.jpg", "c", (8, 8), mask=tmp_path / "c.mask.png")
    parts = (StylePart(tmp_path / "s.jpg", 0.25), StylePart(tmp_path / "t.jpg", 0.75))
    style = Source(tmp_path / "s.jpg", "s", (8, 8), blend=parts)
    job = Job(Pair(content, style, "c/s.png"), "1", "2", "3", {"seed": "0"}, "4")
    losses = {"total": math.inf}
    record = make_record(job, tmp_path / "out", build({}), status="done", losses=losses, steps=3)
    data = json.loads(record.text())
    assert list(data)[:3] == ["schema", "output", "status"]
    assert (data["schema"], data["losses"]["total"]) == (SCHEMA, math.inf)
    assert data["blend"][0] == {"style": "../s.jpg", "share": 0.25}
    assert data["settings"]["learning_rate"] is None
    assert not {"style_mask", "reason", "resumed", "by", "bytes", "noted"} & data.keys()
    assert parse_record(record.text()) == record


def test_lines_of_a_later_version_are_read_as_far_as_they_are_known():
    record = parse_record('{"schema": 9, "output": "a.png", "status": "done", "mood": "blue"}')
    assert record is not None
    assert record.schema_version == 9
    assert record == Record(schema=9, output="a.png", status="done")


@pytest.mark.parametrize(
    "output",
    ["", "/etc/x.png", "../x.png", "a/../x.png", "a//x.png", "./x.png", "a\0b.png", "x" * 256,
     "a/" * 2500 + "x.png"],
)  # fmt: skip
def test_a_line_whose_result_is_no_file_of_the_folder_is_no_record(output: str):
    whole = json.dumps({"output": "a/x.png", "status": "done"})
    assert parse_record(whole) is not None
    assert parse_record(json.dumps({"output": output, "status": "done"})) is None


@pytest.mark.parametrize("limit", [None, "x", -1, 2.5, [], "9" * 5000])
def test_a_limit_that_is_none_is_the_usual_one(limit: Any):
    assert Record(output="x", settings={"max_pixels": limit}).max_pixels == MAX_PIXELS
    assert Record(output="x", settings={"max_pixels": 7}).max_pixels == 7


@pytest.mark.parametrize("how", ["lanczos", "", None, 7, ["bilinear"], {}])
def test_a_resampling_that_is_none_counts_as_bicubic(how: object):
    assert Record(output="x", settings={"resampling": how}).resampling == "bicubic"
    assert Record(output="x").resampling == "bicubic"
    assert Record(output="x", settings={"resampling": "bilinear"}).resampling == "bilinear"
