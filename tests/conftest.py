"""What all tests share."""

import os
import shutil

import pytest
from hypothesis import settings

# One thread for each of the processes that share the tests: two that each take every core wait for
# one another. Set before anything imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Other tests keep the cores busy: how long an example takes says nothing. Each run tries the same.
settings.register_profile("shared", deadline=None, derandomize=True)
settings.load_profile("shared")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "slurm: starts a Slurm cluster; left out unless NST_SLURM=1, under which it must"
    )
    config.addinivalue_line("markers", "browser: needs Chromium; always run under NST_BROWSER=1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A machine that reaches only the package index has no browser, and its tests still pass;
    `.ci/run` sets NST_BROWSER=1, under which a missing browser is a failure, not a gap."""
    missing = []
    if os.environ.get("NST_BROWSER") != "1" and not any(map(shutil.which, BROWSERS)):
        missing.append("browser")
    if os.environ.get("NST_SLURM") != "1":
        missing.append("slurm")
    left_out = [item for item in items if any(map(item.get_closest_marker, missing))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
