"""The settings of the command line: the transfer, how it is run and how it is written.

Imports no torch.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from nst_lightning.errors import UserError
from nst_lightning.formats import (
    CLIP_CODECS,
    LOSSY,
    MAX_PIXELS,
    RESULT_FORMATS,
    ClipCodec,
    ClipFormat,
    FilmFormat,
    ResultFormat,
)
from nst_lightning.settings.knob import (
    FILMS,
    MESHES,
    OUTPUT,
    RUNNING,
    Knob,
    Positive,
    parse_number,
    parse_numbers,
)
from nst_lightning.settings.sizes import GRID, Pass
from nst_lightning.settings.transfer import TransferSettings

BEYOND_FLOAT16 = (
    "precision 16-mixed does not go with the Caffe network, whose Gram matrices are beyond "
    "float16's range: choose bf16-mixed or 32-true."
)


def parse_devices(value: Any) -> Any:
    """Reads `auto` as itself, `2` as 2 (how many) and `0,2` as [0, 2] (which)."""
    if isinstance(value, str) and value != "auto":
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not parts or not all(part.isdecimal() for part in parts):
            raise ValueError(f"should be auto, a number, or a list such as 0,2, not {value!r}")
        value = [int(part) for part in parts] if "," in value else int(parts[0])
    if isinstance(value, bool) or value == [] or (isinstance(value, int) and value < 1):
        raise ValueError(f"should be auto, a number above 0, or a list such as 0,2, not {value!r}")
    return value


def parse_tile(value: Any) -> Any:
    """Reads `auto` and `none` as themselves and `512` as 512."""
    side = parse_number(value)
    is_side = isinstance(side, int) and not isinstance(side, bool)
    if value not in ("auto", "none") and not (is_side and side >= GRID and side % GRID == 0):
        raise ValueError(f"should be auto, none, or pixels in a multiple of {GRID}, not {value!r}")
    return side


def parse_none(value: Any) -> Any:
    """Reads `none` as None."""
    return None if value in ("none", "null") else value


class BatchSettings(TransferSettings):
    """What `nst-batch` can be told: the transfer, and how it is run and saved."""

    usual_scales: ClassVar[int | str] = "auto"

    precision: Annotated[
        Literal["auto", "32-true", "bf16-mixed", "16-mixed", "64-true"],
        Knob("pixels", RUNNING, "32-true"),
    ] = "auto"
    """Precision of the network (16-mixed needs a GPU); losses stay in float32 at least; auto is
    bf16-mixed where the device computes in it natively, else 32-true."""

    views: Annotated[int, Field(ge=1, le=256), Knob("pixels", MESHES, 24)] = 24
    """Views from which a mesh is painted, chosen so that they show as much of it as can be seen."""

    view_sets: Annotated[int, Field(ge=1, le=16), Knob("pixels", MESHES, 1)] = 1
    """Sets of so many views, each of other ones, that share the steps of each scale one after the
    other, so that a mesh is painted for any view and not for a few."""

    texture_size: Annotated[
        Annotated[int, Field(ge=16, le=16384)] | None,
        BeforeValidator(parse_none),
        Knob("pixels", MESHES),
    ] = None
    """Longest side of the largest texture of a mesh, the others in proportion; none: its own, of at
    most 2048, and 1024 where a mesh gets its first."""

    turntable: Annotated[Literal["none", FilmFormat], Knob("running", MESHES)] = "none"
    """Film of a turn around the mesh, beside each result."""

    frame_steps: Annotated[int, Field(ge=1, le=100_000), Knob("pixels", FILMS, 50)] = 50
    """Steps for each frame of a film, at most, but for the first of a shot, which gets those of an
    image; never more than an image gets at its last scale. A frame is done where its loss hardly
    falls any more."""

    segment: Annotated[int, Field(ge=0), Knob("pixels", FILMS, 240)] = 240
    """Frames after which a longer shot is cut into parts, for several workers, which are faded into
    one another (0: never)."""

    container: Annotated[ClipFormat, Knob("writing", FILMS, "mp4")] = "mp4"
    """File format of films."""

    codec: Annotated[Literal["auto", ClipCodec], Knob("writing", FILMS, "auto")] = "auto"
    """How films are coded; auto is h264, and vp9 in webm."""

    film_quality: Annotated[int, Field(ge=1, le=100), Knob("writing", FILMS, 90)] = 90
    """Quality of films."""

    frame_rate: Annotated[Positive, Knob("writing", FILMS, 25.0)] = 25.0
    """Frames a second of a film that is given as a folder of frames."""

    keep_frames: Annotated[bool, Knob("running", FILMS)] = False
    """Keep the frames of a film as PNGs beside it."""

    preview_every: Annotated[float, Field(ge=0), Knob("running", FILMS)] = 60.0
    """Seconds between two previews, preview.mp4, of a film in progress (0: none)."""

    accelerator: Annotated[Literal["auto", "cpu", "gpu", "mps"], Knob("running", RUNNING)] = "auto"
    """Where to run; auto takes a GPU where there is one."""

    devices: Annotated[
        Literal["auto"] | int | list[int], BeforeValidator(parse_devices), Knob("running", RUNNING)
    ] = "auto"
    """Workers, a process each: on a GPU how many GPUs, or which (0,2), or auto for all; on the CPU
    how many workers share its cores (auto: one)."""

    batch_size: Annotated[
        Literal["auto"] | Annotated[int, Field(ge=1)],
        BeforeValidator(parse_number),
        Knob("running", RUNNING),
    ] = "auto"
    """Images optimised together; auto is 1 on the CPU and what the memory takes on a GPU."""

    compile: Annotated[bool, Knob("running", RUNNING)] = False
    """Compile the evaluation with torch.compile: about a minute for each shape of image, so for
    large grids on a GPU only; needs a C++ compiler."""

    recompute: Annotated[bool, Knob("running", RUNNING)] = False
    """Compute features twice rather than keep them: less memory, a third more time."""

    tile: Annotated[
        Literal["auto", "none"] | Annotated[int, Field(ge=GRID, multiple_of=GRID)],
        BeforeValidator(parse_tile),
        Knob("running", RUNNING),
    ] = "auto"
    """Take an image through the network in tiles as large as a square of this side, in much less
    memory and about one and a half times the time, with the same result; auto: where it does not
    fit whole; none: never."""

    history: Annotated[Literal["auto", "device", "host"], Knob("running", RUNNING)] = "auto"
    """Where L-BFGS keeps its memory: on the device, or on the host, from where a GPU reads it
    twice a step; auto: on the device where it fits."""

    split: Annotated[bool, Knob("running", RUNNING)] = False
    """Let all devices work on one image after the other, each on a band of its rows, instead of
    each on an image of its own; so it is anyway where one image alone fits none of several GPUs."""

    checkpoint_every: Annotated[float, Field(ge=0), Knob("running", RUNNING)] = 300.0
    """Seconds between two saved states of the images in progress, from which an interrupted run
    goes on (0: only when it is told to stop)."""

    save_every: Annotated[int, Field(ge=0), Knob("running", OUTPUT)] = 0
    """Save a snapshot every N steps (0: none)."""

    save_first: Annotated[int, Field(ge=0), Knob("running", OUTPUT)] = 0
    """Save a snapshot after each of the first N steps."""

    save_at: Annotated[
        list[Annotated[int, Field(ge=1)]], BeforeValidator(parse_numbers), Knob("running", OUTPUT)
    ] = []
    """Save a snapshot after these steps too: 1,2,5,10."""

    curves: Annotated[bool, Knob("running", OUTPUT)] = False
    """Write history.csv, the losses of each step, and curves.png beside each result."""

    animate: Annotated[Literal["none", FilmFormat], Knob("running", OUTPUT)] = "none"
    """Film of the optimisation beside each result, its frames those of the snapshots asked for."""

    logger: Annotated[Literal["none", "csv", "tensorboard"], Knob("running", OUTPUT)] = "none"
    """Log the losses every --log-every steps, and the settings, beside each result: a table, or a
    run in TensorBoard with the snapshots asked for."""

    log_every: Annotated[int, Field(ge=1), Knob("running", RUNNING)] = 10
    """Steps between two entries of the logger, and between two lines with the losses where plain
    lines are printed."""

    recursive: Annotated[bool, Knob("running", RUNNING)] = False
    """Look into sub-folders too, and keep the sub-folders in the output."""

    max_pixels: Annotated[int, Field(ge=1), Knob("running", RUNNING)] = MAX_PIXELS
    """Refuse images of more pixels than this as decompression bombs."""

    format: Annotated[ResultFormat, Knob("writing", OUTPUT, "png")] = "png"
    """File format of the results."""

    quality: Annotated[
        int, Field(ge=1, le=100), Knob("writing", OUTPUT, 95, goes_with=("format", *LOSSY))
    ] = 95
    """Quality of jpeg and webp; webp at 100 is lossless."""

    bit_depth: Annotated[
        Literal[8, 16], BeforeValidator(parse_number), Knob("writing", OUTPUT, 8)
    ] = 8
    """Bits of each channel; 16 with png and tiff only."""

    dither: Annotated[bool, Knob("writing", OUTPUT, False)] = False
    """Round each value up or down by chance, the same in every run, so that smooth gradients show
    no steps; the mean stays."""

    keep_exif: Annotated[bool, Knob("writing", OUTPUT, False)] = False
    """Copy date, camera and GPS position from the content's EXIF into the result."""

    finish: Annotated[Literal["none", "detail"], Knob("writing", OUTPUT, "none")] = "none"
    """What is done to the optimised image: detail enlarges it to the content's own size, with the
    content's own detail."""

    @property
    def suffix(self) -> str:
        """The suffix of the results, without its dot."""
        return RESULT_FORMATS[self.format].suffixes[0][1:]

    @property
    def clip_codec(self) -> ClipCodec:
        """How films are coded, with its default made explicit."""
        return CLIP_CODECS[self.container][0] if self.codec == "auto" else self.codec

    @model_validator(mode="after")
    def _goes_in_container(self) -> "BatchSettings":
        if self.clip_codec not in CLIP_CODECS[self.container]:
            raise UserError(
                f"codec {self.codec} does not go with container {self.container}: choose "
                f"{' or '.join(CLIP_CODECS[self.container])}."
            )
        return self

    def passes(self, sets: int) -> list[Pass]:
        """Returns the scales with their steps shared out to so many sets of views, as far as they
        go, of which the first comes last."""
        made = []
        for scale in self.scales:
            parts = min(sets, scale.steps)
            for k in reversed(range(parts)):
                steps = scale.steps * (k + 1) // parts - scale.steps * k // parts
                made.append(Pass(**{**scale.model_dump(), "steps": steps}, view_set=k))
        return made

    @model_validator(mode="after")
    def _fits_float16(self) -> "BatchSettings":
        caffe = self.weights == "caffe" or self.weights_input.startswith("caffe")
        if caffe and self.precision == "16-mixed":
            raise UserError(BEYOND_FLOAT16)
        return self

    @model_validator(mode="after")
    def _goes_in_tiles(self) -> "BatchSettings":
        if isinstance(self.tile, int) and (reason := self.not_in_tiles):
            raise UserError(f"tile {self.tile}: {reason}")
        return self

    @property
    def not_in_tiles(self) -> str:
        """Returns why an image cannot be taken through the network in tiles, as the rest of a
        sentence; "" where it can."""
        if self.precision == "16-mixed":
            return "16-mixed needs to see the whole image: choose bf16-mixed or 32-true."
        if self.compile:
            return "compile is for images that fit whole: leave it out."
        return self.whole_only

    @model_validator(mode="after")
    def _can_be_split(self) -> "BatchSettings":
        if self.split and (reason := self.not_in_bands):
            raise UserError(f"split: {reason}")
        return self

    @property
    def not_in_bands(self) -> str:
        """Returns why several devices cannot work on one image, as the rest of a sentence; ""
        where they can."""
        if self.logger != "none":
            return "logger does not go with it: choose logger none."
        return self.not_in_tiles

    @model_validator(mode="after")
    def _can_be_written(self) -> "BatchSettings":
        if self.bit_depth not in RESULT_FORMATS[self.format].bits:
            deep = [name for name, one in RESULT_FORMATS.items() if self.bit_depth in one.bits]
            raise UserError(
                f"bit_depth 16 does not go with format {self.format}, which holds 8 bits: choose "
                f"format {' or '.join(deep)}, or bit_depth 8."
            )
        if self.finish == "detail" and isinstance(self.scales[-1].target, tuple):
            raise UserError(
                f"finish detail does not go with size {self.scales[-1].size}, for it needs the "
                "content's own aspect: give the longest side alone."
            )
        return self


def build(data: Mapping[str, Any], source: str = "") -> BatchSettings:
    """Returns validated settings.

    Args:
        data: settings by name, values as in YAML or as typed on the command line.
        source: where they come from, for the message.

    Raises:
        UserError: one sentence that names the setting, what is wrong and what is allowed.
    """
    try:
        return BatchSettings.model_validate(data)
    except UserError as error:
        raise UserError(f"{source}: {error}" if source else str(error)) from None
