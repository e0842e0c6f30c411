"""The name of every file and folder that an output folder may hold, once. Imports no torch."""

import hashlib
import re
from pathlib import Path, PurePath
from typing import get_args

from nst_lightning.formats import CLIP_SUFFIXES, MESH_SUFFIXES, FilmFormat

# What was asked, and what is done.
SETTINGS = "settings.yaml"
SWEEP = "sweep.yaml"
MANIFEST = "manifest.jsonl"
MANIFEST_LOCK = ".manifest.lock"
MANIFEST_SOFT_LOCK = ".manifest.soft"
"""Takes the lock's place on file systems without locks."""
OF_THE_FOLDER = (SETTINGS, SWEEP, MANIFEST, MANIFEST_LOCK, MANIFEST_SOFT_LOCK)

# What there is for a run's own use.
STATE = Path(".nst")
LEDGER_PARTS = STATE / "ledger"
"""One manifest per task of a Slurm job."""
INPUT_HASHES = STATE / "hashes.json"
EXPECTED = STATE / "expected"
"""The results that the last runs were to make: a file for each list of those that shared."""
EXPECTED_BEFORE = (STATE / "expected.json", STATE / "wanted.json")
"""The one list that earlier versions kept, the first of all under the second name."""
TASKS = STATE / "tasks"
"""One file per process at work."""
CLAIMS = STATE / "claims"
"""What the folder is used for; the file with the highest number counts."""
CHECKPOINTS = STATE / "checkpoints"
"""One folder per batch in progress, with these two files in it."""
CHECKPOINT_PAIRS = "pairs.json"
CHECKPOINT_STATE = "state.ckpt"
FRAMES = STATE / "frames"
"""The frames of films in progress, a folder for each fingerprint, with this file in it."""
FILM_NOTE = "film.json"
FLOWS = STATE / "flows"
"""How things move between the frames of films, as far as it is remembered."""
SCANS = STATE / "scans"
"""What is known of films: a file for each that was looked through."""
JOBS = STATE / "jobs"
"""What submitit keeps, the messages of the tasks among it."""
SUBMITTED = STATE / "submitted"
"""The ids of the jobs that were submitted, one a line."""
SUBMITTED_SETTINGS = STATE / "settings.yaml"

# Reports. Figures, curves and contact sheets have functions below.
PAGE = "index.html"
RESULTS_TABLE = "results.csv"
SEEDS_TABLE = "seeds.csv"
EVALUATION_TABLE = "evaluation.csv"
BLENDS = Path("blends")
"""An image of each blend of styles."""
GALLERY = Path("gallery")
"""The page's small copies: of results, of results that no browser shows, and of inputs."""
GALLERY_RESULTS, GALLERY_LARGE = GALLERY / "results", GALLERY / "large"
GALLERY_THUMBNAILS, GALLERY_VIEWS = GALLERY / "thumbs", GALLERY / "views"
GALLERY_ZOOM = GALLERY / "zoom"
"""A folder for each large result, named as the result: a page that shows it (`PAGE`), and the tiles
that the page loads."""
ZOOM_WHOLE = "whole.jpg"
"""The whole of a large result, made small."""

WRITTEN_BY_RUNS = (
    MANIFEST, MANIFEST_LOCK, LEDGER_PARTS, TASKS, CLAIMS, EXPECTED, CHECKPOINTS, JOBS, SUBMITTED,
    BLENDS, FRAMES, FLOWS, SCANS,
)  # fmt: skip
"""Folders that a run writes to, and files that it writes in place, whatever it makes."""
WRITTEN_BY_REPORTS = (
    GALLERY_RESULTS, GALLERY_LARGE, GALLERY_THUMBNAILS, GALLERY_VIEWS, GALLERY_ZOOM,
)  # fmt: skip

# What stands in a result's own folder, beside snapshots and a film.
HISTORY = "history.csv"
CURVES = "curves.png"
LAST_GOOD = "last-good.png"
SIDES = "sides.png"
"""Four sides of a mesh that is a result, with its record: they are shown for it."""
SIDES_BEFORE = "sides-before.png"
"""The same of the mesh that it was made from."""
STILLS = "stills.png"
"""Frames of a film that is a result: they are shown for it."""
STILLS_BEFORE = "stills-before.png"
"""The same of the film that it was made from."""
PREVIEW = "preview.mp4"
"""What there is of a film in progress."""
KEPT_FRAMES = "frames"
"""The folder of a film's frames, where they are kept."""
LOGGER_TABLE = "metrics.csv"
LOGGER_HYPERPARAMS = "hparams.yaml"
"""These two, and event files, are what Lightning's loggers write."""

# Names that are made from inputs.
LONGEST_NAME = 255 - len("curves-.png")
"""Bytes of a name made from an input: what file systems take, less the most that is added to it."""

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f/\ud800-\udfff]")
"""Control characters, the slash, and the surrogates that bytes of a name are read as that are not
UTF-8 (PEP 383)."""


def safe_name(text: str) -> str:
    """Returns a text as a name that a file or folder can have, the same whenever it is asked for.

    A name is never empty, hidden, `.` or `..`; it has no slash, no control character and at most
    `LONGEST_NAME` bytes. Text that is such a name stays as it is; all other ends in a hash of it,
    so that names of different texts differ.
    """
    plain = _UNSAFE.sub("-", text)
    data = plain.encode("utf-8")
    if plain == text and 0 < len(data) <= LONGEST_NAME and not text.startswith("."):
        return text
    data = data.lstrip(b".-")
    end = f"-{short_hash(text)}"
    return (data[: LONGEST_NAME - len(end)].decode("utf-8", "ignore") or "unnamed") + end


def short_hash(text: str) -> str:
    """Returns 8 hexadecimal digits that tell texts apart."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


_SHEET = re.compile(r"grid(?:-([1-9]\d*))?\.png")


def sheet_name(page: int) -> str:
    """Returns the name of a page of the contact sheet, from 1."""
    return "grid.png" if page == 1 else f"grid-{page}.png"


def sheet_page(name: str) -> int | None:
    """Returns the page of the contact sheet that a file is, from 1; None for any other file."""
    found = _SHEET.fullmatch(name)
    return int(found[1] or 1) if found else None


def figure_name(of: str = "") -> str:
    """Returns the name of a study's figure: of one pair, or of all there is."""
    return f"figure{_suffix(of)}.png"


def curves_name(of: str = "") -> str:
    """Returns the name of curves that are drawn over one another: of one pair or row, or of all."""
    return f"curves{_suffix(of)}.png"


def _suffix(of: str) -> str:
    return f"-{safe_name(of.replace('/', '-'))}" if of else ""


def snapshot_name(step: int) -> str:
    """Returns the name of the image after a step, in the result's own folder."""
    return f"step-{step:04d}.png"


def film_name(kind: str) -> str:
    """Returns the name of the film of a result in a format (a `FilmFormat`), in its folder."""
    return f"progress.{kind}"


def turntable_name(kind: str) -> str:
    """Returns the name of the film around a mesh in a format (a `FilmFormat`), in its folder."""
    return f"turntable.{kind}"


def zoom_folder(output: str) -> Path:
    """Returns the folder of the tiles of a result, relative to the output folder."""
    return GALLERY_ZOOM / output


def tile_name(level: int, column: int, row: int) -> str:
    """Returns the name of a tile in that folder: level 0 is the image itself, each further one is
    half as large."""
    return f"{level}/{column}-{row}.jpg"


def own_folder(result: Path) -> Path:
    """Returns the folder that holds what belongs to a result: snapshots, curves, a film."""
    return result.with_suffix("")


def is_mesh(result: Path) -> bool:
    """Whether a file has the name of a mesh."""
    return result.suffix.lower() in MESH_SUFFIXES


def is_film(result: Path) -> bool:
    """Whether a file has the name of a film."""
    return result.suffix.lower() in CLIP_SUFFIXES


def image_of(result: Path) -> Path:
    """Returns the image that shows a result: itself, four sides of a mesh, or stills of a film."""
    if is_mesh(result):
        return own_folder(result) / SIDES
    return own_folder(result) / STILLS if is_film(result) else result


def image_before(result: Path) -> Path | None:
    """Returns the image that shows what a mesh or a film was made from; None for an image."""
    if is_mesh(result):
        return own_folder(result) / SIDES_BEFORE
    return own_folder(result) / STILLS_BEFORE if is_film(result) else None


def frame_name(number: int) -> str:
    """Returns the name of a frame of a film, from 0."""
    return f"{number:06d}.png"


def is_kept_frame(path: Path) -> bool:
    """Whether a file has the name, and stands in the folder, of a frame that was kept."""
    return path.parent.name == KEPT_FRAMES and _KEPT_FRAME.fullmatch(path.name) is not None


def settings_beside(result: Path) -> Path:
    """Returns the file beside a result that holds its settings."""
    return result.with_suffix(".yaml")


def _any_of(*names: str) -> str:
    return "|".join(map(re.escape, names))


_REPORT = re.compile(
    rf"{_SHEET.pattern}|(figure|curves)(-.+)?\.png|"
    + _any_of(RESULTS_TABLE, SEEDS_TABLE, EVALUATION_TABLE, PAGE)
)
_EVENT_FILE = re.compile(r"events\.out\.tfevents\..+")
_EXTRA = re.compile(
    rf"step-\d{{4,}}\.png|{_EVENT_FILE.pattern}|"
    + _any_of(
        HISTORY,
        CURVES,
        LAST_GOOD,
        LOGGER_TABLE,
        LOGGER_HYPERPARAMS,
        SIDES,
        SIDES_BEFORE,
        STILLS,
        STILLS_BEFORE,
        PREVIEW,
    )
    + "|"
    + _any_of(*map(film_name, get_args(FilmFormat)), *map(turntable_name, get_args(FilmFormat)))
)


_KEPT_FRAME = re.compile(r"\d{6,}\.png")


def is_report(name: str) -> bool:
    """Whether a file of an output folder, or of a content's folder in it, has a report's name."""
    return _REPORT.fullmatch(name) is not None


def is_copy(path: PurePath) -> bool:
    """Whether a file, relative to the output folder, has the name of one of the gallery's."""
    return any(path.is_relative_to(folder) for folder in WRITTEN_BY_REPORTS) and (
        path.suffix == ".jpg" or (path.name == PAGE and path.is_relative_to(GALLERY_ZOOM))
    )


def is_event_file(name: str) -> bool:
    """Whether a file has the name of an event file of TensorBoard."""
    return _EVENT_FILE.fullmatch(name) is not None


def is_extra(name: str) -> bool:
    """Whether a file of a result's own folder has a name that nst-batch gives there."""
    return _EXTRA.fullmatch(name) is not None
