"""Imports of Lightning and torch, kept out of Python's searches for garbage."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def large_imports() -> Iterator[None]:
    """Has Python search for no garbage within, and never again among what there is at the end.

    Importing Lightning took 3.4 s with these searches and 2.4 s without, and the process took
    1.3 s to end, and then 0.2 s. Where it is imported already nothing is done: the program may be
    somebody else's, whose garbage would stay.
    """
    if "lightning" in sys.modules:
        yield
        return
    searched = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if searched:
            gc.enable()
