"""Help pages that people can read."""

import re
import subprocess
import sys
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from nst_lightning.cli.app import app
from nst_lightning.cli.options import PageCommand, settings_options
from nst_lightning.settings import BatchSettings, knob_of
from nst_lightning.settings.knob import PANELS
from nst_lightning.settings.sizes import SHORT_FORM

COMMANDS = ["grid", "run", "reconstruct", "texture", "compare-init", "sweep", "mesh"]
COMMANDS += ["submit grid", "submit mesh"]
WIDTHS = [80, 120]


def page(command: str, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lines of a help page in a terminal of a width."""
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", width)
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def panels(lines: list[str]) -> dict[str, list[str]]:
    """Panel → its lines."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if title := re.match(r"╭─ (.*?) ─+╮", line):
            found[title[1]] = []
        elif line.startswith("│") and found:
            found[list(found)[-1]].append(line.strip("│ "))
    return found


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("width", WIDTHS)
def test_each_setting_stands_in_its_panel_alone(
    command: str, width: int, monkeypatch: pytest.MonkeyPatch
):
    shown = panels(page(command, width, monkeypatch))
    expected = ["Arguments", "Options", *PANELS, *(["Slurm"] if "submit" in command else [])]
    assert list(shown) == expected
    for name, field in BatchSettings.model_fields.items():
        flag = "--" + name.replace("_", "-")
        places = [p for p, lines in shown.items() for line in lines if line.split()[:1] == [flag]]
        assert places == [knob_of(field).panel], name
    first = [line.split()[0] for line in shown["Size and scales"] if line.startswith("--")]
    assert first[:3] == ["--size", "--steps", "--scales"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_and_the_text_has_room(
    command: str, width: int, monkeypatch: pytest.MonkeyPatch
):
    lines = page(command, width, monkeypatch)
    assert max(map(len, lines)) <= width
    assert "…" not in "\n".join(lines)
    assert not [line for line in lines if " --no-" in line and "opposite" not in line]
    for panel, inside in panels(lines).items():
        # Each option's text begins in the same column, and takes at least half of the page.
        starts = {m.end() for line in inside if (m := re.match(r"--\S+( +\S+)? {2,}", line))}
        assert width - max(starts, default=0) >= width * 0.5, panel


@pytest.mark.parametrize(
    ("command", "scales"),
    [("grid", "auto"), ("run", "auto"), ("submit grid", "auto"), ("sweep", "auto"),
     ("mesh", "2"), ("reconstruct", "1"), ("texture", "1"), ("compare-init", "1")],
)  # fmt: skip
def test_the_scales_of_a_command(command: str, scales: str, monkeypatch: pytest.MonkeyPatch):
    text = " ".join(panels(page(command, 120, monkeypatch))["Size and scales"])
    assert f"as many as pay. [default: {scales}]" in re.sub(r"[│ ]+", " ", text)


def test_a_switch_can_be_taken_back():
    said: list[dict[str, Any]] = []
    app = typer.Typer()

    @app.command(cls=PageCommand)
    @settings_options()  # type: ignore[untyped-decorator]  # see pyproject: nst_lightning.cli
    def command(given: dict[str, Any]) -> None:
        said.append(given)

    for words in (["--no-bounds"], ["--bounds", "--dither"], ["--config", "x", "--no-such"]):
        CliRunner().invoke(app, words)
    assert said == [{"bounds": False}, {"bounds": True, "dither": True}]
    CliRunner().invoke(app, ["--help"])
    CliRunner().invoke(app, ["--no-dither", "--set", "size=8"])
    assert said[-1] == {"dither": False, "size": 8}


def test_the_short_form_is_no_setting_of_its_own():
    assert not set(SHORT_FORM) & set(BatchSettings.model_fields)


@pytest.mark.parametrize(("command", "shown"), [("", "compare-init"), ("grid", "--style-weight")])
def test_help_imports_nothing_slow(command: str, shown: str):
    code = (
        "import sys\n"
        "from nst_lightning.cli.app import app\n"
        f"try: app({[*command.split(), '--help']})\n"
        "except SystemExit: pass\n"
        "slow = {'torch', 'lightning', 'numpy', 'PIL', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imports {slow}' if slow else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert shown in result.stdout
