"""Messages that repeat what somebody gave."""

import sys

import pytest

import cli
from cli.wording import LONGEST, in_a_line


def test_a_message_is_one_line_of_what_can_be_shown():
    assert in_a_line("a\nb\x1b[2J\udcff × \u202eé") == r"a\nb\x1b[2J\udcff × \u202eé"


def test_a_long_message_keeps_its_beginning_and_its_end():
    shown = in_a_line("begin" + "x" * 10_000 + "end")
    assert len(shown) <= LONGEST
    assert shown.startswith("begin")
    assert shown.endswith("end")
    assert "x … x" in shown


def test_a_name_that_the_system_refuses_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["nst-batch", "run", "c" * 300, "s.png"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.endswith(": cannot be used (File name too long); mend that, or name another.\n")
    assert said.startswith("nst-batch: ccc")
