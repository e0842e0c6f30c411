"""Clips made by code, and what ffmpeg, which reads them independently of us, says about films."""

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
from PIL import Image

Frame = npt.NDArray[np.uint8]
"""(H, W, 3)."""

BT709 = 1


def texture(side: int, seed: int = 0) -> Frame:
    """Returns a square image with something to hold on to everywhere: smooth noise, and shapes."""
    random = np.random.default_rng(seed)
    total = np.zeros((side, side, 3))
    for cells, weight in ((4, 0.4), (8, 0.3), (16, 0.2), (32, 0.1)):
        noise = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        smooth = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
        total += weight * np.asarray(smooth)
    y, x = np.mgrid[:side, :side]
    for _ in range(6):
        cy, cx = random.uniform(0, side, 2)
        radius = random.uniform(side / 16, side / 6)
        inside = np.hypot(y - cy, x - cx) < radius
        total[inside] = 0.6 * total[inside] + 0.4 * random.integers(0, 256, 3)
    return total.round().astype(np.uint8)


def pan(frames: int, side: int = 64, *, step: int = 2, seed: int = 0) -> list[Frame]:
    """Returns a view that moves right by `step` pixels a frame over a larger texture."""
    wide = texture(side + step * (frames - 1), seed)
    return [wide[:side, i * step : i * step + side].copy() for i in range(frames)]


def zoom(frames: int, side: int = 64, *, factor: float = 1.02, seed: int = 0) -> list[Frame]:
    """Returns a texture that grows by `factor` a frame, about its middle."""
    image = Image.fromarray(texture(2 * side, seed))
    views = []
    for i in range(frames):
        half = side / factor**i
        box = (side - half, side - half, side + half, side + half)
        views.append(np.array(image.resize((side, side), Image.Resampling.BICUBIC, box=box)))
    return views


def disc(frames: int, side: int = 64, *, step: int = 2, seed: int = 0) -> list[Frame]:
    """Returns a disc that moves right by `step` pixels a frame over a texture that stands still: it
    covers on its right what it reveals on its left."""
    behind, before = texture(side, seed), texture(side, seed + 1)
    y, x = np.mgrid[:side, :side]
    views = []
    for i in range(frames):
        inside = np.hypot(y - side / 2, x - side / 4 - i * step) < side / 6
        view = behind.copy()
        view[inside] = np.roll(before, i * step, axis=1)[inside]
        views.append(view)
    return views


def noisy_still(frames: int, side: int = 64, *, seed: int = 0) -> list[Frame]:
    """Returns a texture that stands still, with noise of one level in every frame."""
    random = np.random.default_rng(seed)
    still = texture(side, seed).astype(int)
    return [
        (still + random.integers(-1, 2, still.shape)).clip(0, 255).astype(np.uint8)
        for _ in range(frames)
    ]


def cut(frames: int, side: int = 64, *, seed: int = 0) -> list[Frame]:
    """Returns two pans over different textures; the second begins at `frames` // 2."""
    half = frames // 2
    return [*pan(half, side, seed=seed), *pan(frames - half, side, seed=seed + 100)]


def make_film(
    path: Path,
    frames: Sequence[npt.NDArray[Any]],
    *,
    rate: int = 25,
    times: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    codec: str = "libx264",
    samples: str = "yuv420p",
    options: dict[str, str] | None = None,
    sound: str | None = None,
) -> Path:
    """Writes frames as a film by PyAV alone, without tags of colour; RGB becomes BT.601.

    Args:
        path: its suffix names the format.
        frames: RGB, uint8 or uint16.
        rate: frames a second.
        times: when each is shown, in units of `time_base`; by default at the rate.
        time_base: seconds; by default 1 / rate.
        codec: FFmpeg's name of an encoder.
        samples: FFmpeg's name of a pixel format.
        options: of the encoder.
        sound: FFmpeg's name of an encoder for a tone as long as the film; None for none.
    """
    import av

    base = time_base or Fraction(1, rate)
    times = times or range(len(frames))
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=rate, options=options or {"crf": "10"})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = samples
        stream.codec_context.time_base = base
        tone = film.add_stream(sound, rate=48_000) if sound else None
        for image, time in zip(frames, times, strict=True):
            image = np.ascontiguousarray(image)
            source = "rgb48le" if image.dtype == np.uint16 else "rgb24"
            frame = av.VideoFrame.from_ndarray(image, format=source)
            frame.pts, frame.time_base = time, base
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
        if isinstance(tone, av.AudioStream):
            seconds = float((times[-1] + 1) * base)
            wave = np.sin(2 * np.pi * 440 * np.arange(round(seconds * 48_000)) / 48_000)
            for start in range(0, len(wave), 960):
                block: npt.NDArray[np.float32] = np.tile(
                    wave[start : start + 960] / 2, (2, 1)
                ).astype(np.float32)
                if sound == "libopus":  # takes the channels together
                    block = block.T.reshape(1, -1)
                samples_of = "flt" if sound == "libopus" else "fltp"
                part = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(block), format=samples_of, layout="stereo"
                )
                part.sample_rate, part.pts = 48_000, start
                film.mux(tone.encode(part))
            film.mux(tone.encode(None))
    return path


def ffmpeg(*arguments: str | Path) -> bytes:
    """Runs the ffmpeg that comes with imageio-ffmpeg and returns what it writes to its output."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def image_times(path: Path) -> list[Fraction]:
    """Returns the seconds at which ffmpeg shows each image of a film."""
    return _times(_hashes(path, "v:0", "-fps_mode", "passthrough", "-enc_time_base", "demux"))


def sound_packets(path: Path, track: int = 0) -> list[tuple[Fraction, str]]:
    """Returns the seconds and the sha256 of each packet of a film's sound, as ffmpeg sees them."""
    lines = _hashes(path, f"a:{track}", "-c", "copy")
    return list(zip(_times(lines), _column(lines, 5), strict=True))


def decoded_rgb(path: Path, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Returns the frames of a film (N, H, W, 3) as ffmpeg decodes, turns and converts them."""
    raw = ffmpeg(
        "-i",
        path,
        "-fps_mode",
        "passthrough",
        "-sws_flags",
        "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp",
        "-pix_fmt",
        "rgb24",
        "-f",
        "rawvideo",
        "-",
    )
    return np.frombuffer(raw, np.uint8).reshape(-1, *shape, 3)


def _hashes(path: Path, stream: str, *options: str) -> list[str]:
    return (
        ffmpeg("-copyts", "-i", path, "-map", f"0:{stream}", *options, "-f", "framehash", "-")
        .decode()
        .splitlines()
    )


def _column(lines: list[str], column: int) -> list[str]:
    return [line.split(",")[column].strip() for line in lines if not line.startswith("#")]


def _times(lines: list[str]) -> list[Fraction]:
    base = next(line.split(":")[1] for line in lines if line.startswith("#tb 0"))
    return [int(time) * Fraction(base.strip()) for time in _column(lines, 2)]


def packets(path: Path) -> list[str]:
    """Returns a line for each packet of a film, with its times and its sha256, as ffmpeg sees them:
    what a film is, but for the record in it, which says how long it took."""
    lines = ffmpeg("-copyts", "-i", path, "-map", "0", "-c", "copy", "-f", "framehash", "-")
    return [line for line in lines.decode().splitlines() if not line.startswith("#")]
