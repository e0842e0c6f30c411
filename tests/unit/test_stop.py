"""Signals as a flag."""

import os
import signal
import subprocess
import sys

import pytest

from nst_lightning.stop import AGAIN, Interrupted, StopFlag


@pytest.mark.parametrize(
    ("numbers", "kept"),
    [
        ([signal.SIGTERM], signal.SIGTERM),
        ([signal.SIGUSR1, signal.SIGUSR2], signal.SIGUSR2),
        ([signal.SIGUSR1, signal.SIGTERM], signal.SIGTERM),  # scancel ends a job for good
        ([signal.SIGTERM, signal.SIGUSR1], signal.SIGTERM),
        ([signal.SIGTERM, signal.SIGTERM], signal.SIGTERM),  # srun and slurmd may both send it
    ],
)
def test_an_end_for_good_outweighs_a_pause(numbers: list[int], kept: int):
    flag = StopFlag()
    with flag.listening():
        flag.check()
        for number in numbers:
            os.kill(os.getpid(), number)
    with pytest.raises(Interrupted) as raised:
        flag.check()
    assert raised.value.signum == kept
    assert raised.value.exit_code == 128 + kept
    assert {signal.SIGUSR1, signal.SIGUSR2} == AGAIN


def test_handlers_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with StopFlag().listening():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_ctrl_c_ends_at_once():
    code = (
        "import os, signal, time\n"
        "from nst_lightning.stop import StopFlag\n"
        "with StopFlag().listening():\n"
        "    for _ in range(2): os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 130


def test_a_warning_that_comes_early_is_heard_later():
    code = (
        "import os, signal\n"
        "from nst_lightning.stop import Interrupted, StopFlag, remember_warnings\n"
        "remember_warnings()\n"
        "os.kill(os.getpid(), signal.SIGUSR2)\n"
        "for heard in (True, False):\n"
        "    flag = StopFlag()\n"
        "    with flag.listening():\n"
        "        assert (flag.signum == signal.SIGUSR2) is heard\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0


AT_EXIT = """
import os, signal
from nst_lightning.stop import ignore_warnings, remember_warnings
remember_warnings()
class Late:
    def __del__(self, kill=os.kill, me=os.getpid(), number=signal.SIGUSR2):
        kill(me, number)
import sys
sys.late = Late()
ignore_warnings()
"""


def test_a_warning_while_python_shuts_down_ends_nothing():
    assert subprocess.run([sys.executable, "-c", AT_EXIT], check=False).returncode == 0
