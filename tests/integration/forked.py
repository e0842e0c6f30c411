"""The command line in a fork of a process that has imported torch and Lightning already.

Importing the two takes several times as long as most commands of the tests. Every command still has
a process of its own, whose end, exit code and output are those of `nst-batch`.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from nst_lightning.cli import main


def be_the_command(words: list[str], environment: dict[str, str], out: Path) -> None:
    for stream, name in ((sys.stdout, "stdout"), (sys.stderr, "stderr")):
        with (out / name).open("wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["nst-batch", *words]
    main()


def ready() -> ForkServerContext:
    """The context whose server every process of pytest starts once, at its first command."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nst_lightning.api", "nst_lightning.cli.app", __name__])
    return context


def start(words: list[str], environment: dict[str, str], out: Path) -> BaseProcess:
    """Starts the command; what it says goes into two files of a folder."""
    process = ready().Process(target=be_the_command, args=(words, environment, out))
    process.start()
    return process


def run(
    words: list[str], environment: dict[str, str], seconds: float
) -> "subprocess.CompletedProcess[str]":
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        process = start(words, environment, out)
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(words, seconds)
        said, errors = ((out / name).read_text(errors="replace") for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(words, process.exitcode, said, errors)
