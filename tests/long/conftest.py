"""The fixtures of the integration tests."""

from tests.integration.conftest import nst as nst
