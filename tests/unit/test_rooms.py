"""Imports point down, in no circle; docs/draw_rooms.py reads them."""

from pathlib import Path

from docs.draw_rooms import DRAWING, all_imports, circles, draw, modules, same_names, upward

KNOWN = modules()
IMPORTS = all_imports(KNOWN)


def test_no_import_points_up():
    assert upward(IMPORTS) == []


def test_no_files_of_a_room_import_one_another_in_a_circle():
    assert circles(IMPORTS) == []


def test_every_file_name_occurs_once():
    assert same_names(KNOWN) == []


def test_every_import_counts(tmp_path: Path):
    package = tmp_path / "nst_lightning"
    for name, text in {
        "__init__.py": "",
        "files.py": "from nst_lightning.run.slurm import place\n",
        "run/__init__.py": "",
        "run/slurm.py": "def f():\n    from . import pool\n    from ..files import x\n",
        "run/pool.py": "if TYPE_CHECKING:\n    import nst_lightning.run.slurm\n",
        "store/__init__.py": "import_module('nst_lightning.run.pool')\n",
    }.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    imports = all_imports(modules(tmp_path))
    assert upward(imports) == [
        "nst_lightning.files -> nst_lightning.run.slurm",
        "nst_lightning.store -> nst_lightning.run.pool",
    ]
    assert circles(imports) == ["nst_lightning.run.pool <-> nst_lightning.run.slurm"]
    assert 'cx="' in draw(imports)


def test_the_drawing_is_of_today():
    shown = DRAWING.read_text(encoding="utf-8")
    assert shown == draw(IMPORTS), "draw it anew: python docs/draw_rooms.py"
