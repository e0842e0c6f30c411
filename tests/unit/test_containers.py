"""The container recipes and their page, as far as they can be read without building an image."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from nst_lightning.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "slurm.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "examples" / "containers" / "Dockerfile").read_text(encoding="utf-8")
DEFINITION = (ROOT / "examples" / "containers" / "nst-batch.def").read_text(encoding="utf-8")


def instructions(name: str) -> list[str]:
    """The arguments of a Dockerfile's instructions of this name."""
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)


def section(name: str) -> str:
    """A section of Apptainer's definition."""
    found = re.search(rf"^%{name}\n(.*?)(?=^%|\Z)", DEFINITION, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def batch_script() -> str:
    """The page's script for a container."""
    found = re.search(r"<!-- in a container -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def words_of_commands() -> list[list[str]]:
    """What follows nst-batch's or an image's name in the recipes and on the page."""
    own_part = PAGE[PAGE.index("## In a container") : PAGE.index("## Very large grids")]
    texts = [own_part, *instructions("RUN"), section("post"), section("test")]
    lines = "\n".join(texts).replace("\\\n", " ")
    commands = re.findall(r"\bnst-batch(?:\.sif)? ([a-z][a-z-]*\b(?![/.])[^`&\n]*)", lines)
    return [
        shlex.split(command) for command in commands if command.split()[0] not in ("ends", "as")
    ]


def test_what_is_copied_is_what_the_package_is_built_from():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    folders = re.search(r"^\[tool.setuptools.package-dir\]\n(.*?)\n\n", project, re.M | re.S)
    assert folders
    needed = {"pyproject.toml", "README.md", "LICENSE", *re.findall(r'= "(.*)"', folders[1])}
    copied = [word for line in instructions("COPY") for word in line.split()[:-1]]
    assert set(copied) == needed
    placed = dict(line.split() for line in section("files").splitlines() if line)
    assert placed == {name: f"/opt/nst-lightning/{name}" for name in needed}
    assert all((ROOT / name).exists() for name in needed)


def test_both_images_are_made_alike():
    (base,) = instructions("FROM")
    assert f"\nBootstrap: docker\nFrom: {base}\n" in DEFINITION
    assert "NST_CACHE=/opt/nst-cache" in instructions("ENV")
    assert "NST_CACHE=/opt/nst-cache nst-batch weights pull normalized" in section("post")
    assert "NST_CACHE:-/opt/nst-cache" in section("environment")


def test_every_command_and_option_exists():
    commands = words_of_commands()
    assert {words[0] for words in commands} == {"grid", "doctor", "weights", "submit"}
    for words in commands:
        command: Any = typer.main.get_command(app)
        while words and words[0] in getattr(command, "commands", {}):
            command, words = command.commands[words[0]], words[1:]
        assert not (words and hasattr(command, "commands")), f"no command {words}"
        options = {name for one in command.params for name in one.opts}
        assert {word for word in words if word.startswith("-")} <= options
    assert ["weights", "pull", "normalized"] in commands


@pytest.mark.parametrize(
    "script",
    [*instructions("RUN"), *map(section, ("post", "environment", "runscript", "test"))],
)
def test_what_shells_run_is_written_for_them(script: str):
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def fake(folder: Path, name: str, script: str) -> None:
    """Puts a program of this name into a folder."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_signals_meet_no_shell(tmp_path: Path):
    (entry,) = instructions("ENTRYPOINT")
    assert json.loads(entry) == ["nst-batch"]
    fake(tmp_path, "nst-batch", 'echo $$ "$#"')
    fake(tmp_path, "script", section("runscript"))
    words = [str(tmp_path / "script"), "grid", "my photos", "--out"]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.communicate()[0].split() == [str(process.pid), "3"]


@pytest.mark.parametrize(("host", "found"), [({}, "/opt/nst-cache"), ({"NST_CACHE": "/c"}, "/c")])
def test_the_hosts_cache_folder_wins(host: dict[str, str], found: str):
    script = section("environment") + 'echo "$NST_CACHE"'
    environment = {"PATH": "/usr/bin:/bin", **host}
    words = ["sh", "-ec", script]
    said = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == found


@pytest.mark.parametrize("code", [0, 1, 138, 143])
def test_the_batch_script_asks_for_the_job_again_when_time_is_up(tmp_path: Path, code: int):
    fake(tmp_path, "srun", f"exit {code}")
    fake(tmp_path, "scontrol", f'echo "$@" > {tmp_path}/asked')
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "12"}
    ended = subprocess.run(["bash", "-c", batch_script()], env=environment, check=False)
    assert ended.returncode == code
    asked = tmp_path / "asked"
    assert (asked.read_text() if asked.exists() else None) == (
        "requeue 12\n" if code == 138 else None
    )
