"""Films of an output folder, measured by a small random network."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nst_lightning.evaluation.columns import FILM_METRICS, METRICS
from nst_lightning.evaluation.feature_extractor import FeatureExtractor
from nst_lightning.evaluation.film_metrics import film_metrics
from nst_lightning.evaluation.measuring import Evaluation, evaluate, evaluate_changed
from nst_lightning.evaluation.subject import find_subjects
from nst_lightning.evaluation.table import write_evaluation
from nst_lightning.run import film_plan
from nst_lightning.store.records import Record
from tests.clips import Frame, make_film, pan, texture
from tests.results_folder import SETTINGS, record, write_manifest

CPU = torch.device("cpu")
FRAMES = 17
CUT = 14


@pytest.fixture(scope="module", autouse=True)
def _short_segments() -> Iterator[None]:
    """Segments as short as the setting says: a film of several takes long to measure otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(film_plan, "FADED", 8)
        yield


@pytest.fixture(scope="module")
def extractor() -> FeatureExtractor:
    return FeatureExtractor("vgg16", "random", CPU)


def views() -> list[Frame]:
    """A pan, and another in the dark."""
    return [*pan(CUT, 48), *(frame // 4 for frame in pan(FRAMES - CUT, 48, seed=9))]


def styled(frames: list[Frame], seed: int = 0) -> list[Frame]:
    """Frames in other colours, each a little different from the others."""
    random = np.random.default_rng(seed)
    changed = [frame // 2 + random.integers(0, 8, frame.shape) + 60 for frame in frames]
    return [one.astype(np.uint8) for one in changed]


def write(path: Path, frames: list[Frame]) -> None:
    make_film(path, frames, codec="ffv1", samples="bgr0", options={})


def record_of(output: str, content: str) -> Record:
    settings = SETTINGS | {"segment": 12, "frame_rate": 25.0}
    return record(output, content, "../in/style.png", frames=FRAMES, settings=settings)


def make_folder(root: Path) -> Path:
    """A film of a film, and one of a folder of frames."""
    (root / "in" / "numbered").mkdir(parents=True)
    Image.fromarray(texture(60, 3)).save(root / "in" / "style.png")
    write(root / "in" / "clip.mkv", views())
    for number, frame in enumerate(views()):
        Image.fromarray(frame).save(root / "in" / "numbered" / f"{number:03d}.png")
    for name, seed in (("clip", 0), ("numbered", 1)):
        (root / "out" / name).mkdir(parents=True)
        write(root / "out" / name / "style.mkv", styled(views(), seed))
    write_manifest(root / "out", records())
    return root / "out"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return make_folder(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, extractor: FeatureExtractor) -> Evaluation:
    """What is measured where nothing is gone."""
    return measured(make_folder(tmp_path_factory.mktemp("whole")), extractor)


def records() -> list[Record]:
    return [
        record_of("clip/style.mkv", "../in/clip.mkv"),
        record_of("numbered/style.mkv", "../in/numbered"),
    ]


def measured(out: Path, network: FeatureExtractor) -> Evaluation:
    return evaluate(find_subjects(records(), out), network, CPU)


def tensors(frames: list[Frame]) -> list[torch.Tensor]:
    return [torch.from_numpy(frame).permute(2, 0, 1)[None] / 255 for frame in frames]


def test_a_film_has_the_numbers_of_films_and_of_images(whole: Evaluation):
    assert whole.warnings == []
    # The first shot is cut into two segments: the second begins at its middle, after a fade
    # that takes all of the first.
    joins = range(1, CUT // 2 + 1)
    for seed, values in enumerate(whole.values):
        expected = film_metrics(tensors(views()), tensors(styled(views(), seed)), {CUT}, joins)
        for name in set(FILM_METRICS) - {"e_warp_ratio", "first_rms"}:
            assert values[name] == pytest.approx(getattr(expected, name), rel=1e-4), name
        ratio = expected.e_warp / expected.e_warp_input
        assert values["e_warp_ratio"] == pytest.approx(ratio, rel=1e-4)
        assert "first_rms" not in values, "nothing stands still in a pan"
        assert set(values) == set(METRICS) - {"lpips", "identity_psnr", "first_rms"}


def test_as_an_image_it_is_the_mean_of_four_frames(
    out: Path, extractor: FeatureExtractor, whole: Evaluation
):
    made, before = styled(views()), views()
    four = []
    for number in (2, 6, 10, 14):
        one = record(f"frames/{number}.png", f"../in/{number}.png", "../in/style.png")
        for path, frame in ((out / one.output, made[number]), (out / one.content, before[number])):
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(frame).save(path)
        four.append(one)
    each = evaluate(find_subjects(four, out), extractor, CPU).values
    values = whole.values[0]
    for name in set(METRICS) - set(FILM_METRICS) - {"lpips", "identity_psnr"}:
        mean = sum(one[name] for one in each) / 4
        assert values[name] == pytest.approx(mean, rel=1e-3, abs=1e-6), name


def test_a_film_that_is_gone_costs_its_own_numbers(
    out: Path, extractor: FeatureExtractor, whole: Evaluation
):
    (out / "clip" / "style.mkv").unlink()
    found = measured(out, extractor)
    assert found.values == [{}, whole.values[1]]
    assert len(found.warnings) == 1
    assert "style.mkv" in found.warnings[0]


def test_a_clip_that_is_gone_leaves_what_needs_none(
    out: Path, extractor: FeatureExtractor, whole: Evaluation
):
    shutil.rmtree(out / ".." / "in" / "numbered")
    found = measured(out, extractor)
    assert found.values[0] == whole.values[0]
    assert found.values[1]["style_gram"] == whole.values[1]["style_gram"]
    assert not {"ssim", *FILM_METRICS} & set(found.values[1])
    assert len(found.warnings) == 1
    assert "numbered" in found.warnings[0]


def test_a_film_cut_short_is_named(out: Path, extractor: FeatureExtractor):
    write(out / "clip" / "style.mkv", styled(views())[:-3])
    found = measured(out, extractor)
    assert not {"ssim", *FILM_METRICS} & set(found.values[0])
    assert "e_warp" in found.values[1]
    (warning,) = found.warnings
    assert "has 14 frames, and its clip" in warning
    path = out / "clip" / "style.mkv"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = measured(out, extractor)
    assert found.values[0] == {}
    assert "e_warp" in found.values[1]
    assert len(found.warnings) == 1


def test_a_film_is_measured_again_where_a_frame_changed(out: Path, extractor: FeatureExtractor):
    def changed() -> int:
        subjects = find_subjects(records(), out)
        found = evaluate_changed(out, subjects, extractor, CPU)
        write_evaluation(out, subjects, found.values, extractor.name)
        return found.measured

    assert [changed(), changed()] == [2, 0]
    Image.fromarray(texture(48, 8)).save(out / ".." / "in" / "numbered" / "004.png")
    assert [changed(), changed()] == [1, 0]
