"""What every command says at its end."""

import errno
import os
from pathlib import Path

import pytest

from cli.flags import Flags
from cli.work import carry_out
from nst_lightning.errors import OutputError
from nst_lightning.grid.pairs import Case, Grid
from nst_lightning.run import runner
from nst_lightning.run.runner import Summary
from nst_lightning.settings import build


def test_a_report_for_which_there_is_no_room_is_told_after_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(runner, "run", lambda *_, **__: Summary())

    def report() -> list[Path]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match="No space left on device") as caught:
        carry_out(
            [Case(build({}), Grid([], []))],
            tmp_path,
            flags=Flags(),
            ready=lambda: None,
            report=report,
        )
    assert str(caught.value).startswith(f"{tmp_path}: cannot be written")
    assert caught.value.exit_code == 1
    assert "0 made, 0 done before, 0 failed" in capsys.readouterr().out
