"""Large imports and the search for garbage."""

import subprocess
import sys


def said(script: str) -> list[str]:
    """Runs a script in a process of its own, which has imported nothing, and returns its words."""
    script = f"import gc, sys\nfrom nst_lightning.large_imports import large_imports\n{script}"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return run.stdout.split()


SEARCHES = """
with large_imports():
    print(gc.isenabled())
    import lightning
print(gc.isenabled(), gc.get_freeze_count() > 10_000)
"""


def test_there_is_no_search_while_they_go_on_nor_among_them_later():
    assert said(SEARCHES) == ["False", "True", "True"]


def test_the_garbage_of_a_program_that_has_lightning_is_left_to_python():
    assert said(f"import lightning\n{SEARCHES}") == ["True", "True", "False"]


def test_an_import_that_fails_leaves_the_searches_on():
    failing = """
try:
    with large_imports():
        raise ImportError
except ImportError:
    print(gc.isenabled())
"""
    assert said(failing) == ["True"]


def test_a_run_imports_no_lightning_before_it_makes_an_image():
    script = """
import nst_lightning.cli.live, nst_lightning.run.claim, nst_lightning.run.runner
print("torch" in sys.modules, "lightning" in sys.modules)
"""
    assert said(script) == ["True", "False"]
