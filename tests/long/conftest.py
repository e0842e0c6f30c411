"""The fixtures of the integration tests."""

from tests.integration.conftest import contents as contents
from tests.integration.conftest import nst as nst
from tests.integration.conftest import styles as styles
