"""How much memory there is."""

from pathlib import Path

import pytest

from nst_lightning import machine_memory


def test_a_container_may_have_less_than_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(machine_memory, "CGROUP", tmp_path / "memory.max")
    all_of_it = machine_memory.machine_bytes()
    assert 2**28 < all_of_it < 2**50
    for text, expected in (("max", all_of_it), ("1048576", 2**20), (f"{2**60}", all_of_it)):
        machine_memory.CGROUP.write_text(text + "\n")
        assert machine_memory.machine_bytes() == expected
