"""What is installed is what stands in the repository."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_folder_of_code_is_installed():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^packages = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
    assert listed
    inside = {
        f"nst_lightning.{file.parent.relative_to(ROOT / 'nst_lightning').as_posix()}"
        for file in (ROOT / "nst_lightning").glob("*/**/__init__.py")
    }
    expected = {"nst_lightning", "nst_lightning.cli", "nst_lightning.configs", *inside}
    assert set(re.findall(r'"([^"]+)"', listed[1])) == expected
