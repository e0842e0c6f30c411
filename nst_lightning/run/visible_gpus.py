"""The names of the GPUs that a process sees. Imports no torch."""

import re
from collections.abc import Mapping
from itertools import takewhile

VARIABLE = "CUDA_VISIBLE_DEVICES"

_NAME = re.compile(r"\+?\d|GPU-|MIG-")


def visible_gpus(environment: Mapping[str, str]) -> list[str] | None:
    """Returns the names in CUDA_VISIBLE_DEVICES, or None where it is not set: all are visible.

    A name is a number, or a UUID (`GPU-…`, `MIG-…`) as far as it tells one GPU from the others.
    CUDA reads up to the first text that is no name: `-1`, `NoDevFiles` or nothing hide all GPUs.

    Args:
        environment: as of `os.environ`.
    """
    shown = environment.get(VARIABLE)
    if shown is None:
        return None
    return list(takewhile(_NAME.match, (name.strip() for name in shown.split(","))))
