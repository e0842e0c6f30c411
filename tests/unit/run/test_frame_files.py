"""Frames on disk: the image and what is known of it come back, whatever their text says."""

import base64
import json
import zlib
from pathlib import Path

import pytest
import torch

from nst_lightning.run.frame_files import AGE, age_of, read_facts, read_frame, write_frame
from nst_lightning.video.temporal_target import GROWN

SHAPE = (5, 7)


def test_a_frame_comes_back_with_its_ages(tmp_path: Path):
    image = torch.rand(3, *SHAPE)
    age = torch.randint(0, GROWN + 1, (1, 1, *SHAPE)).float()
    age[..., 0] = 0
    path = tmp_path / "frame.png"
    made = write_frame(path, image, age, {"steps": 3, "curvature": 0.1}, 8)
    assert (made - image[None]).abs().max() <= 0.5 / 255 + 1e-6
    found = read_frame(path, SHAPE)
    assert found is not None
    assert torch.equal(found, made)
    facts = read_facts(path)
    assert (facts["steps"], facts["curvature"]) == (3, 0.1)
    assert torch.equal(age_of(facts, SHAPE), age)
    assert read_frame(path, (7, 5)) is None


@pytest.mark.parametrize("age", [None, torch.full((1, 1, *SHAPE), float(GROWN))])
def test_what_has_been_seen_for_long_is_not_said(age: torch.Tensor | None, tmp_path: Path):
    path = tmp_path / "frame.png"
    write_frame(path, torch.rand(3, *SHAPE), age, {"steps": 3}, 8)
    assert read_facts(path) == {"steps": 3}
    assert (age_of({}, SHAPE) == GROWN).all()


BOMB = base64.b64encode(zlib.compress(bytes(10**7))).decode()


@pytest.mark.parametrize("text", ["", "!!", "AAAA", 7, None, ["x"], BOMB, "ü"])
def test_damaged_ages_count_as_long_seen(text: object):
    assert (age_of({AGE: text}, (40, 30)) == GROWN).all()


def test_ages_are_no_more_than_they_can_be():
    text = base64.b64encode(zlib.compress(bytes([255] * 35))).decode()
    assert (age_of({AGE: text}, SHAPE) == GROWN).all()


def test_a_text_that_is_no_record_says_nothing(tmp_path: Path):
    path = tmp_path / "frame.png"
    write_frame(path, torch.rand(3, *SHAPE), None, {"steps": 3}, 8)
    path.write_bytes(path.read_bytes().replace(json.dumps({"steps": 3}).encode(), b'{"steps": 3]'))
    assert read_facts(path) == {}
