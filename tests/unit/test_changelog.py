"""The changelog speaks of the code as it is."""

import re
from pathlib import Path

from nst_lightning.store.fingerprint import ALGORITHM
from nst_lightning.store.records import SCHEMA

ROOT = Path(__file__).resolve().parents[2]


def test_the_newest_entry_names_the_versions_of_package_algorithm_and_schema():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)\n\nAlgorithm (\d+) · manifest schema (\d+)$", text, re.MULTILINE)
    assert newest
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    assert version
    assert newest.groups() == (version[1], str(ALGORITHM), str(SCHEMA))
