"""README's snippets and the example beside it do what they say, word for word."""

import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from PIL import Image
from typer.core import TyperGroup

from cli import main
from cli.app import app
from tests.integration.conftest import EXAMPLES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^nst-batch .*$", README, re.MULTILINE)

PHOTOS, PAINTINGS = ("photo.jpg", "tubingen.jpg"), ("painting.jpg", "scream.jpg", "wave.jpg")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with all images that README names: narrow, for the steps are a user's."""
    for names, source in ((PHOTOS, "contents/coffee.jpg"), (PAINTINGS, "styles/woodcut.jpg")):
        for name in names:
            with Image.open(EXAMPLES / source) as image:
                image.resize((64, 16)).save(tmp_path / name)
    with Image.open(EXAMPLES / "contents" / "coffee.mask.png") as mask:
        mask.resize((64, 16), Image.Resampling.NEAREST).save(tmp_path / "mask.png")
    for name, images in (("photos", PHOTOS), ("paintings", PAINTINGS)):
        (tmp_path / name).mkdir()
        for image_name in images:
            shutil.copy(tmp_path / image_name, tmp_path / name)
    (tmp_path / "masks").mkdir()
    shutil.copy(tmp_path / "mask.png", tmp_path / "masks" / "photo.mask.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_snippets_are_found():
    assert len(PYTHON) == README.count("```python") == 3
    assert len(COMMANDS) >= 12


@pytest.mark.parametrize("snippet", PYTHON, ids=["one call", "blends and regions", "a Trainer"])
def test_a_snippet_runs(folder: Path, snippet: str, capsys: pytest.CaptureFixture[str]):
    exec(compile(snippet, "README.md", "exec"), {"__name__": "snippet"})
    for name in re.findall(r'\.save\("(.*?)"\)', snippet):
        with Image.open(folder / name) as made, Image.open(folder / "tubingen.jpg") as photo:
            assert made.size == photo.size
            assert made.tobytes() != photo.convert("RGB").tobytes()
    if "print" in snippet:
        assert "(64, 16) torch.Size([3, 16, 64])" in capsys.readouterr().out


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_understood(
    folder: Path, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    words = shlex.split(line, comments=True)
    command: Any = typer.main.get_command(app)
    rest = words[1:]
    while isinstance(command, TyperGroup):
        command = command.commands[rest.pop(0)]
    can_plan = "--dry-run" in {option for param in command.params for option in param.opts}
    if not can_plan or "submit" in words:  # which is tested where there is Slurm
        command.make_context(line, rest)  # raises where it does not parse
        return
    monkeypatch.setattr(sys, "argv", [*words, "--dry-run"])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    assert not end.value.code, said.err
    assert said.out


def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    script = ROOT / "examples" / "own_callback_and_logger.py"
    monkeypatch.setattr(
        sys, "argv", [str(script), "--out", str(tmp_path), "--size", "64", "--steps", "40"]
    )
    runpy.run_path(str(script), run_name="__main__")
    frames = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert frames == ["step-0020.png", "step-0040.png"]
    rows = (tmp_path / "losses" / "version_0" / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + 40
    assert {"loss", "content", "style"} <= set(rows[0].split(","))
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)
    with Image.open(tmp_path / "best.png") as made:
        assert made.size == tuple(best["state_dict"]["image"].shape[:1:-1])
