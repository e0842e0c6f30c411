"""The manifest: appending, torn lines, several writers."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nst_lightning.batch.ledger import Ledger


def test_last_line_wins_and_compaction_keeps_it(tmp_path: Path):
    ledger = Ledger(tmp_path)
    assert ledger.read() == {}
    for status in ("failed", "done"):
        ledger.append({"output": "b/x.png", "status": status})
    ledger.append({"output": "a/é.png", "status": "done"})
    expected = {
        "b/x.png": {"output": "b/x.png", "status": "done"},
        "a/é.png": {"output": "a/é.png", "status": "done"},
    }
    assert ledger.read() == expected
    ledger.compact()
    assert ledger.read() == expected
    assert [json.loads(x)["output"] for x in ledger.path.read_text().splitlines()] == [
        "a/é.png",
        "b/x.png",
    ]


def test_a_torn_line_costs_only_itself(tmp_path: Path):
    ledger = Ledger(tmp_path)
    ledger.append({"output": "a", "status": "done"})
    with ledger.path.open("a") as file:
        file.write('{"output": "b", "sta')
    ledger.append({"output": "c", "status": "done"})
    assert set(ledger.read()) == {"a", "c"}


def test_several_writers(tmp_path: Path):
    def write(k: int) -> None:
        for i in range(20):
            ledger = Ledger(tmp_path)
            ledger.append({"output": f"{k}-{i}", "status": "done"})
            if i % 7 == 0:
                ledger.compact()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert len(Ledger(tmp_path).read()) == 80
