"""What all tests share."""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: needs Chromium; left out by NST_NO_BROWSER=1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without NST_NO_BROWSER, a missing browser is a failure, never a silent gap."""
    if os.environ.get("NST_NO_BROWSER") == "1":
        left_out = [item for item in items if item.get_closest_marker("browser")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
