"""Bad usage: one sentence, exit code 2, no traceback, before any work."""

import json
import os
from pathlib import Path

import pytest

from .conftest import EXAMPLES, Nst

CONTENTS, STYLES = EXAMPLES / "contents", EXAMPLES / "styles"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--style-layers", "relu9_1"], "did you mean 'relu5_1'"),
        (["--style-layers", "conv_17"], "has no layer 'conv_17'"),
        (["--set", "stile_weight=3"], "did you mean 'style_weight'"),
        (["--set", "style_weight"], "KEY=VALUE"),
        (["--steps", "0"], "steps should be greater than or equal to 1"),
        (["--steps", "many"], "steps"),
        (["--content-weight", "-1"], "content_weight should be greater than or equal to 0"),
        (["--content-weight", "0", "--style-weight", "0"], "nothing to optimise"),
        (["--pooling", "median"], "pooling should be 'max' or 'avg'"),
        (["--preset", "gatys-cod"], "did you mean 'gatys-code'"),
        (["--config", "absent.yaml"], "absent.yaml"),
        (["--shard", "5/4"], "--shard"),
        (["--first-step", "soon"], "first_step"),
        (["--precision", "16-mixed"], "needs a GPU"),
        (["--accelerator", "gpu"], "accelerator"),
        (["--init", "absent.png"], "absent.png"),
        (["--weights", "absent.pth"], "absent.pth"),
        (["--size", "512", "--scales", "256:10"], "scales"),
    ],
)
def test_one_sentence_and_exit_code_2(nst: Nst, tmp_path: Path, options: list[str], sentence: str):
    run = nst("grid", CONTENTS, STYLES, "-o", tmp_path / "out", *options)
    assert run.returncode == 2, run.stderr
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.glob("out/*/*.png"))


def test_folders(nst: Nst, tmp_path: Path):
    def refused(sentence: str, *words: object) -> None:
        run = nst(*words)
        assert run.returncode == 2, run.stderr
        assert sentence in run.stderr
        assert "Traceback" not in run.stderr

    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    out = tmp_path / "out"
    refused("no such file or folder", "grid", tmp_path / "absent", STYLES, "-o", out)
    refused("holds no images", "grid", tmp_path / "empty", STYLES, "-o", out)
    refused("is a file", "grid", CONTENTS, STYLES, "-o", tmp_path / "file")
    refused("cannot be written", "grid", CONTENTS, STYLES, "-o", tmp_path / "file" / "out")
    refused("folder of inputs", "grid", CONTENTS, STYLES, "-o", CONTENTS)
    one, two = CONTENTS / "coffee.jpg", STYLES / "woodcut.jpg"
    refused("is a folder", "run", one, two, "-o", tmp_path)
    refused("ends in .png, .jpg, .webp, .tif", "run", one, two, "-o", tmp_path / "x.bmp")
    named = ("run", one, two, "-o", tmp_path / "x.jpg", "--format", "tiff")
    refused("is the name of a jpeg file, but format is tiff", *named)
    refused("holds 8 bits", "run", one, two, "-o", tmp_path / "x.jpg", "--bit-depth", 16)
    square = ("grid", CONTENTS, STYLES, "-o", out, "--size", "64x64", "--finish", "detail")
    refused("content's own aspect", *square)
    refused("a texture has no content", "texture", two, "-o", out, "--finish", "detail")
    refused("is a folder", "run", CONTENTS, two, "-o", tmp_path / "x.png")
    (tmp_path / "mine.png").write_bytes((tmp_path / "file").read_bytes())
    refused("was not made by nst-batch", "run", one, two, "-o", tmp_path / "mine.png")
    assert (tmp_path / "mine.png").read_text() == "x"


def test_an_unsupported_format_is_named(nst: Nst, tmp_path: Path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes((CONTENTS / "coffee.jpg").read_bytes())
    (photos / "holiday.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 100)
    plan = nst("grid", photos, STYLES / "woodcut.jpg", "-o", tmp_path / "o", "--dry-run", "--json")
    assert plan.returncode == 0, plan.stderr
    planned = json.loads(plan.stdout)
    assert planned["outputs"] == ["a/woodcut.png"]
    assert planned["tflop"] > 0
    assert "holiday.heic" in planned["problems"][0]
    assert not (tmp_path / "o").exists()


def test_presets_doctor_version(nst: Nst):
    listed = nst("presets").stdout
    for name in ("default", "pytorch-tutorial", "gatys-paper", "gatys-code", "jcjohnson"):
        assert name in listed
        assert "pixel range" in nst("presets", name).stdout
    assert "nst-batch" in nst("--version").stdout
    doctor = nst("doctor")
    assert doctor.returncode == 0
    assert "torch" in doctor.stdout
    assert "normalized vgg19" in doctor.stdout


def test_a_single_result_has_a_name_in_utf_8(nst: Nst, tmp_path: Path):
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/r\xff.png"))
    run = nst("run", CONTENTS / "chelsea.jpg", STYLES / "woodcut.jpg", "-o", out)
    assert run.returncode == 2
    assert "name a file in UTF-8" in run.stderr
    assert not list(tmp_path.iterdir())
