"""What all tests share."""

import os
import shutil

import pytest
from hypothesis import settings

# One thread for each of the processes that share the tests: two that each take every core wait for
# one another. Set before anything imports torch.
os.environ["OMP_NUM_THREADS"] = "1"

# A busy machine is no fault.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SLURM = ("slurmctld", "slurmd", "sbatch", "munged")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slurm: starts a Slurm cluster on this machine")
    config.addinivalue_line("markers", "browser: needs Chromium")
    config.addinivalue_line("markers", "gpu: needs a GPU of CUDA")


def missing_tools() -> dict[str, str]:
    """Says for each marker why its tests cannot run here; a marker whose tests can is left out."""
    reasons = {}
    if not any(map(shutil.which, BROWSERS)):
        reasons["browser"] = "no Chromium is installed (on Debian: apt-get install chromium)"
    absent = [program for program in SLURM if not shutil.which(program)]
    if absent:
        reasons["slurm"] = (
            f"no Slurm is installed: {', '.join(absent)} "
            "(on Debian: apt-get install slurmctld slurmd slurm-client munge)"
        )
    elif os.geteuid() != 0:
        reasons["slurm"] = "only root can start a Slurm cluster"
    elif "PYTEST_XDIST_WORKER" in os.environ:
        reasons["slurm"] = "one cluster, one process: pytest -n 0 tests/slurm"
    return reasons


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = missing_tools()
    if any(item.get_closest_marker("gpu") for item in items):
        import torch  # only here, for it takes seconds

        if not torch.cuda.is_available():
            missing["gpu"] = "there is no GPU of CUDA"
    for marker, reason in missing.items():
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
