"""The colours of films, compared with the formulas of ITU-T H.273 written down once more."""

from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from nst_lightning.formats import MAX_PIXELS
from nst_lightning.video.clip import BT601, BT709, BT2020, Clip, Colour
from nst_lightning.video.clip_colours import from_rgb, result_colour
from nst_lightning.video.clip_reading import read_frames, scan_clip
from tests.clips import texture

LUMA = {
    BT709: (0.2126, 0.7152, 0.0722),
    BT601: (0.299, 0.587, 0.114),
    BT2020: (0.2627, 0.678, 0.0593),
}
"""The shares of red, green and blue, of ITU-R BT.709, BT.601 and BT.2020."""

PATCH = 16
"""Side of an area of one colour: its middle does not depend on how chroma is filtered."""


def matrix(code: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """From R'G'B' in [0, 1] to Y' in [0, 1] and Cb, Cr in [-0.5, 0.5]."""
    luma = np.array(LUMA[code])
    blue, red = np.array([0, 0, 1.0]) - luma, np.array([1.0, 0, 0]) - luma
    return np.stack([luma, blue / (2 - 2 * luma[2]), red / (2 - 2 * luma[0])])


def levels(bits: int, full: bool) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The scale and offset of the three samples."""
    if full:
        top = 2.0**bits - 1
        return np.array([top] * 3), np.array([0, 2.0 ** (bits - 1), 2.0 ** (bits - 1)])
    scale = 2.0 ** (bits - 8)
    return scale * np.array([219.0, 224, 224]), scale * np.array([16.0, 128, 128])


def patches(seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(8, 8, 3) colours in [0, 1], the corners of the cube among them."""
    colours = np.random.default_rng(seed).uniform(0, 1, (64, 3))
    colours[:8] = list(product((0.0, 1.0), repeat=3))
    return colours.reshape(8, 8, 3)


def yuv_film(path: Path, code: int, full: bool, samples: str, tagged: bool = True) -> Path:
    """Writes patches, as samples computed here, without loss."""
    frame = av.VideoFrame(8 * PATCH, 8 * PATCH, samples)
    bits = frame.format.components[0].bits
    scale, offset = levels(bits, full)
    planes = (patches(0) @ matrix(code).T * scale + offset).round().clip(0, 2**bits - 1)
    kind = np.uint16 if bits > 8 else np.uint8
    for index, plane in enumerate(frame.planes):
        spread = np.kron(planes[..., index], np.ones((PATCH, PATCH))).astype(kind)
        rows = np.zeros((plane.height, plane.line_size // kind().itemsize), kind)
        step = 8 * PATCH // plane.width
        rows[:, : plane.width] = spread[:: 8 * PATCH // plane.height, ::step]
        plane.update(rows.tobytes())
    with av.open(str(path), "w") as film:
        stream = film.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 8 * PATCH
        stream.pix_fmt = samples
        if tagged:
            stream.codec_context.colorspace = code
            stream.codec_context.color_range = 2 if full else 1
        frame.pts = 0
        film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


def middles(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return image[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH].astype(float)


def expected(code: int, full: bool, bits: int) -> np.ndarray[Any, Any]:
    """The colours in [0, 1] that the rounded samples stand for."""
    scale, offset = levels(bits, full)
    samples = (patches(0) @ matrix(code).T * scale + offset).round().clip(0, 2**bits - 1)
    return (((samples - offset) / scale) @ np.linalg.inv(matrix(code)).T).clip(0, 1)


@pytest.mark.parametrize("code", LUMA)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("samples", ["yuv420p", "yuv422p", "yuv444p"])
def test_films_of_8_bits_are_read_as_their_tags_say(
    code: int, full: bool, samples: str, tmp_path: Path
):
    clip = scan_clip(yuv_film(tmp_path / "a.mkv", code, full, samples), MAX_PIXELS)
    assert (clip.colour.matrix, clip.colour.full, clip.bits) == (code, full, 8)
    found = middles(next(read_frames(clip, 0, 1)))
    assert np.abs(found - 255 * expected(code, full, 8)).max() < 1.01


@pytest.mark.parametrize("code", LUMA)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("samples", ["yuv420p10le", "yuv422p10le", "yuv444p12le"])
def test_films_of_more_bits_are_read_as_their_tags_say(
    code: int, full: bool, samples: str, tmp_path: Path
):
    clip = scan_clip(yuv_film(tmp_path / "a.mkv", code, full, samples), MAX_PIXELS)
    bits = 12 if "12" in samples else 10
    assert (clip.colour.matrix, clip.colour.full, clip.bits) == (code, full, 10)
    found = middles(next(read_frames(clip, 0, 1)))
    assert np.abs(found - 65535 * expected(code, full, bits)).max() < 2


def test_an_untagged_film_is_taken_to_be_of_its_height(tmp_path: Path):
    clip = scan_clip(yuv_film(tmp_path / "a.mkv", BT601, False, "yuv444p", False), MAX_PIXELS)
    assert (clip.colour.matrix, clip.colour.full) == (BT601, False)
    found = middles(next(read_frames(clip, 0, 1)))
    assert np.abs(found - 255 * expected(BT601, False, 8)).max() < 1.01
    with av.open(str(tmp_path / "b.mkv"), "w") as film:
        stream = film.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = 32, 720
        film.mux(stream.encode(av.VideoFrame(32, 720, "yuv420p")))
        film.mux(stream.encode(None))
    assert scan_clip(tmp_path / "b.mkv", MAX_PIXELS).colour.matrix == BT709


def planes_of(frame: av.VideoFrame) -> list[np.ndarray[Any, Any]]:
    kind = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    return [
        np.frombuffer(bytes(plane), kind).reshape(plane.height, -1)[:, : plane.width]
        for plane in frame.planes
    ]


@pytest.mark.parametrize("code", [BT709, BT2020])
@pytest.mark.parametrize("samples", ["yuv420p", "yuv422p10le", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_frames_become_the_nearest_samples(code: int, samples: str, kind: Any):
    white = np.iinfo(kind).max
    colours = (patches(1) * white).round()
    image = np.kron(colours, np.ones((PATCH, PATCH, 1))).astype(kind)
    frame = from_rgb(image, Colour(matrix=code), samples)
    bits = frame.format.components[0].bits
    scale, offset = levels(bits, False)
    samples_of = colours / white @ matrix(code).T * scale + offset
    for index, plane in enumerate(planes_of(frame)):
        rows, columns = plane.shape[0] // 8, plane.shape[1] // 8
        found = plane[rows // 2 :: rows, columns // 2 :: columns]
        assert np.abs(found - samples_of[..., index]).max() < 0.51
    assert (frame.colorspace, frame.color_range) == (code, 1)


@pytest.mark.parametrize(("samples", "rows", "columns"), [("yuv420p", 2, 2), ("yuv422p10le", 1, 2)])
def test_chroma_lies_at_the_left_of_two_columns_and_between_two_rows(
    samples: str, rows: int, columns: int
):
    """A ramp across is the same wherever it is sampled, but for a shift."""
    side = 64
    y, x = np.mgrid[:side, :side] / side
    image = (np.stack([x, 0.5 + 0 * x, y], -1) * 65535).astype(np.uint16)
    frame = from_rgb(image, Colour(), samples)
    scale, offset = levels(frame.format.components[0].bits, False)
    down = (np.arange(side // rows) * rows + (rows - 1) / 2) / side
    across = np.arange(side // columns) * columns / side
    grid_y, grid_x = np.meshgrid(down, across, indexing="ij")
    colours = np.stack([grid_x, 0.5 + 0 * grid_x, grid_y], -1)
    wanted = colours @ matrix(BT709).T * scale + offset
    for index in (1, 2):
        inner = (planes_of(frame)[index] - wanted[..., index])[1:-1, 1:-1]
        assert np.abs(inner).max() < 0.6


def test_odd_sides_are_kept():
    image = texture(32)[:31, :29]
    frame = from_rgb(image, Colour(), "yuv420p")
    assert [plane.shape for plane in planes_of(frame)] == [(31, 29), (16, 15), (16, 15)]


def test_results_are_bt709_but_those_of_bt2020():
    def clip(colour: Colour) -> Clip:
        return Clip(Path("a"), (2, 2), (0,), 1, Fraction(1, 25), Fraction(25), colour=colour)

    assert result_colour(clip(Colour(BT601, True, 5, 6)), lossless=False) == Colour()
    pq = Colour(BT2020, False, 9, 16)
    assert result_colour(clip(pq), lossless=False) == pq
    assert result_colour(clip(Colour()), lossless=True) == Colour(0, True)
