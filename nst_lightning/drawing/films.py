"""Films of an optimisation: GIF and WebP by Pillow, MP4 by ffmpeg."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from nst_lightning.files import write_bytes
from nst_lightning.imaging.encoding import encode_image

FRAME_SECONDS = 0.1
HOLD_SECONDS = 2.0
"""The final image stands this long."""
SAMPLE = 64
"""Side of each frame, in pixels, when the palette of a GIF is chosen."""


def write_film(path: Path, frames: Sequence[Image.Image], *, hold: float = HOLD_SECONDS) -> None:
    """Writes a film, atomically. Smaller frames are enlarged to the last.

    Args:
        path: .gif, .webp or .mp4.
        frames: RGB, at least one.
        hold: the last frame stands this long, in seconds; 0: as long as the others.

    Raises:
        OSError: it cannot be written, or ffmpeg failed.
    """
    size = frames[-1].size
    same = [f if f.size == size else f.resize(size, Image.Resampling.LANCZOS) for f in frames]
    data = (
        encode_mp4(same, hold)
        if path.suffix == ".mp4"
        else encode_animation(same, path.suffix[1:], hold)
    )
    write_bytes(path, data)


def encode_animation(frames: Sequence[Image.Image], kind: str, hold: float = HOLD_SECONDS) -> bytes:
    """Returns a looping GIF or WebP."""
    if kind == "gif":
        # One palette for all frames keeps still areas still.
        samples = Image.new("RGB", (SAMPLE, SAMPLE * len(frames)))
        for i, frame in enumerate(frames):
            samples.paste(frame.resize((SAMPLE, SAMPLE)), (0, i * SAMPLE))
        palette = samples.quantize(256)
        frames = [frame.quantize(palette=palette) for frame in frames]
    durations = [round(1000 * FRAME_SECONDS)] * (len(frames) - 1) + [
        round(1000 * max(hold, FRAME_SECONDS))
    ]
    return encode_image(
        frames[0],
        kind.upper(),
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,
        **({"quality": 90} if kind == "webp" else {}),
    )


def encode_mp4(frames: Sequence[Image.Image], hold: float = HOLD_SECONDS) -> bytes:
    """Returns H.264 in yuv420p, which every player takes; odd sides lose a row or column."""
    import imageio_ffmpeg  # type: ignore[import-untyped]

    width, height = (max(2, side - side % 2) for side in frames[-1].size)
    handle, name = tempfile.mkstemp(suffix=".mp4")
    os.close(handle)
    try:
        writer = imageio_ffmpeg.write_frames(
            name,
            (width, height),
            fps=1 / FRAME_SECONDS,
            codec="libx264",
            macro_block_size=1,
            output_params=["-crf", "18", "-movflags", "+faststart"],
        )
        writer.send(None)
        held = [frames[-1]] * round(hold / FRAME_SECONDS)
        for frame in (*frames, *held):
            writer.send(frame.resize((width, height), box=(0, 0, width, height)).tobytes())
        writer.close()
        return Path(name).read_bytes()
    finally:
        Path(name).unlink()
