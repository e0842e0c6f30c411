"""Every knob of the project, once: name, type, bounds, default, description.

The command line's options and help, the YAML files and the manifest are derived from these models.
Imports no torch, so that bad usage fails before anything slow.
"""

import difflib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from nst_lightning.errors import UserError
from nst_lightning.formats import MAX_PIXELS, RESULT_SUFFIXES
from nst_lightning.settings.layers import canonical
from nst_lightning.settings.sizes import SMALLEST_START as SMALLEST_START
from nst_lightning.settings.sizes import Target, fit


def parse_layers(value: Any) -> Any:
    """`a,b=0.5`, [a, b] or {a: 1, b: 0.5} → {a: 1.0, b: 0.5}: layers and their weights."""
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if isinstance(value, (list, tuple)):
        named = [str(part).partition("=") for part in value]
        twice = {name.strip() for name, _, _ in named if sum(n == name for n, _, _ in named) > 1}
        if twice:
            raise ValueError(f"names {', '.join(sorted(twice))} twice")
        return {name.strip(): weight.strip() if weight else 1.0 for name, _, weight in named}
    return value


def parse_scales(value: Any) -> Any:
    """`256:150,512:60` → [{size: 256, steps: 150}, {size: 512, steps: 60}]."""
    if not isinstance(value, str):
        return value
    parts = [part.split(":") for part in value.split(",") if part.strip()]
    return [dict(zip(("size", "steps", "content_weight"), part, strict=False)) for part in parts]


def is_number_of_scales(value: Any) -> bool:
    """Whether `scales` is auto or a number of scales, to be made from size and steps."""
    return value == "auto" or (str(value).strip().isdigit() and not isinstance(value, bool))


FINER = 0.4
"""Steps of a scale for each step of the scale before, which is half as large."""


def coarse_to_fine(size: int | str, steps: int, count: int | None) -> list[dict[str, Any]]:
    """Scales from coarse to fine, each twice as large as the one before.

    Args:
        size: of the last (see `parse_size`).
        steps: of all together.
        count: how many; None: as many as start from at least `SMALLEST_START`; three of a share,
            for it is another number of pixels in each picture.
    """
    whole = share_of(size)
    sides = [size] if isinstance(size, int) else [int(s) for s in size.split("x") if not whole]
    if count is None and whole:
        count = min(3, steps)
    elif count is None:
        count = 1
        while max(sides) / 2**count >= SMALLEST_START and count < steps:
            count += 1
    if steps < count:
        raise ValueError(f"scales is {count}, but there are only {steps} steps to share out")
    shares = [FINER**k for k in range(count)]
    ends = [round(steps * sum(shares[: k + 1]) / sum(shares)) for k in range(count)]
    made, before = [], 0
    for k in range(count):
        end = min(max(ends[k], before + 1), steps - (count - 1 - k))
        at = [max(1, round(side / 2 ** (count - 1 - k))) for side in sides]
        here = percent(whole / 2 ** (count - 1 - k)) if whole else "x".join(map(str, at))
        made.append({"size": here, "steps": end - before})
        before = end
    return made


def parse_number(value: Any) -> Any:
    """`16` → 16, for a choice that a number is among."""
    return int(value) if isinstance(value, str) and value.isdigit() else value


def parse_numbers(value: Any) -> Any:
    """`1,2,5` → [1, 2, 5]; 3 → [3]."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [value] if isinstance(value, (int, float)) else value


def parse_devices(value: Any) -> Any:
    """`auto` → itself; `2` → 2, how many; `0,2` → [0, 2], which."""
    if isinstance(value, str) and value != "auto":
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not parts or not all(part.isdigit() for part in parts):
            raise ValueError(f"should be auto, a number, or a list such as 0,2, not {value!r}")
        value = [int(part) for part in parts] if "," in value else int(parts[0])
    if isinstance(value, bool) or value == [] or (isinstance(value, int) and value < 1):
        raise ValueError(f"should be auto, a number above 0, or a list such as 0,2, not {value!r}")
    return value


LARGEST_SIDE = 100_000


def share_of(size: int | str) -> float | None:
    """`original` → 1.0, `25%` → 0.25; None for a size in pixels."""
    if size == "original":
        return 1.0
    number = re.fullmatch(r"(\d+\.?\d*|\.\d+)%", size) if isinstance(size, str) else None
    return float(number[1]) / 100 if number else None


def percent(share: float) -> str:
    """A share as a size: 1.0 → `original`, 0.25 → `25%`."""
    return "original" if share == 1 else f"{100 * share:g}%"


def parse_size(value: Any) -> Any:
    """`512` → 512, the longest side; `640x480` → itself, width and height; `original` and `25%` →
    themselves, shares of the content's own size."""
    text = value.strip().lower().replace("×", "x") if isinstance(value, str) else ""
    if (share := share_of(text)) is not None and 0 < share <= 1:
        return percent(share)
    sides = [int(side) for side in text.split("x") if side.isdigit()]
    if isinstance(value, int) and not isinstance(value, bool):
        sides = [value]
    if (
        len(sides) != text.count("x") + 1
        or len(sides) > 2
        or not all(1 <= side <= LARGEST_SIDE for side in sides)
    ):
        raise ValueError(
            f"should be the longest side in pixels (1 to {LARGEST_SIDE}), WIDTHxHEIGHT such as "
            f"224x224, original, or a share of it such as 50% (at most 100%), not {value!r}"
        )
    return sides[0] if len(sides) == 1 else f"{sides[0]}x{sides[1]}"


StyleLossName = Literal["gram", "mean-variance", "wasserstein", "sliced-wasserstein", "patches"]

USUAL_STYLE: dict[str, dict[str, Any]] = {
    "mean-variance": {"style_weight": 200.0},
    "wasserstein": {"style_weight": 100.0},
    "sliced-wasserstein": {"style_weight": 250.0},
    "patches": {"style_layers": {"relu3_1": 1.0, "relu4_1": 1.0}, "style_weight": 2.0},
}
"""Style loss → settings that suit it where they are not said; those of gram are the defaults. The
weights leave the content as far away as gram's do (a town and an expressionist painting at 160 px,
60 steps, between runs with weights of 1, 30 and 1000)."""

PATCH_BLOCKS = 3
"""From this block of the network on there are few enough patches to compare them all."""

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Layers = Annotated[dict[str, Weight], BeforeValidator(parse_layers)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Model(BaseModel):
    """Frozen, and strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Scale(Model):
    """One pass over the picture."""

    size: Annotated[int | str, BeforeValidator(parse_size)] = 512
    """Longest side in pixels, the aspect kept; WIDTHxHEIGHT exactly; original, the content's own
    size; or P%, a share of it."""

    steps: Annotated[int, Field(ge=1, le=10_000_000)] = 300
    """Steps; one step is one evaluation of the loss and its gradient."""

    content_weight: Weight = 1.0
    """Factor on the weight of the content at this scale."""

    @property
    def target(self) -> Target:
        """The longest side, a share of the content's own size, or (height, width)."""
        if isinstance(self.size, int):
            return self.size
        if (share := share_of(self.size)) is not None:
            return share
        width, height = map(int, self.size.split("x"))
        return height, width

    @property
    def longest(self) -> int:
        """The longest side.

        Raises:
            ValueError: it is a share, of which each content makes another; see `longest_of`.
        """
        return self.longest_of(None)

    def longest_of(self, content: tuple[int, int] | None) -> int:
        """The longest side, for a content whose file has this (height, width)."""
        target = self.target
        if isinstance(target, float):
            if content is None:
                raise ValueError(f"how many pixels {self.size} is depends on the content")
            target = fit(*content, target)
        return target if isinstance(target, int) else max(target)


class TransferSettings(Model):
    """What decides the pixels of a result (with the inputs, the weights' checksum and precision).

    `size` and `steps` are the short form of a single entry in `scales`.
    """

    usual_scales: ClassVar[int | str] = 1
    """What `scales` is where it is not said."""

    network: Literal["vgg19", "vgg16"] = "vgg19"
    """Network whose features are compared."""

    weights: Annotated[str, Field(min_length=1)] = "normalized"
    """Weights of the network: normalized, imagenet, random, or a .safetensors or .pth file."""

    pooling: Literal["max", "avg"] = "max"
    """Pooling between the network's blocks."""

    content_layers: Layers = {"relu4_2": 1.0}
    """Layers that hold the content, each with a weight: relu4_2 or relu3_2=0.5,relu4_2."""

    content_loss: Literal["mse", "paper", "type0", "type1", "type2", "relative"] = "mse"
    """Content loss: mse (mean of squares), paper (half the sum of squares, Gatys et al. 2016),
    type0, type1, type2 (titu1994's), or relative (as a share of the content's own squares)."""

    content_weight: Weight = 1.0
    """Weight of the content loss."""

    style_layers: Layers = {
        "relu1_1": 1.0,
        "relu2_1": 0.25,
        "relu3_1": 0.0625,
        "relu4_1": 0.015625,
        "relu5_1": 0.015625,
    }
    """Layers whose statistics hold the style, each with a weight."""

    style_loss: StyleLossName = "gram"
    """What of the layers holds the style: gram (Gram matrices), mean-variance (of each channel),
    wasserstein (Gaussians), sliced-wasserstein (all of the distribution), patches (the most similar
    ones, CNN-MRF). Each has its own usual style_layers and style_weight."""

    gram: Literal["positions", "tutorial", "paper", "jcjohnson", "titu1994"] = "positions"
    """What the Gram matrices are divided by: positions (M), tutorial and jcjohnson (C·H·W),
    paper (4N²M² under the squares), or titu1994 (36·W²·H² under the sum of squares)."""

    style_weight: Weight = 80.0
    """Weight of the style loss."""

    weighting: Literal["absolute", "start", "energy"] = "absolute"
    """What the weights of content and style layers weigh: the losses as they are (absolute), or
    each divided by its value at the start, or by its target's energy (its value for features of
    zero), so that the same weights serve every network."""

    normalize_gradients: bool = False
    """Divide each loss's gradient to its layer's features by the sum of its absolute values
    (jcjohnson's); no loss has these gradients, so adam suits it better than lbfgs."""

    tv: Literal["anisotropic", "squared", "titu1994", "nine-point"] = "squared"
    """Total variation: anisotropic (sum of |d|), squared (sum of d²), titu1994 (power 1.25),
    nine-point (squares to all eight neighbours, crowsonkb's)."""

    tv_weight: Weight = 0.0
    """Weight of the total variation."""

    tv_reduction: Literal["mean", "sum"] = "mean"
    """Whether the total variation is a mean over pixel values (keeps its meaning from size to size)
    or a sum (published formulas)."""

    pixel_range: Annotated[Literal[1, 255], BeforeValidator(parse_number)] = 1
    """Pixel range in which the total variation is measured: the one its weight is meant for."""

    scales: Annotated[list[Scale], BeforeValidator(parse_scales), Field(min_length=1)] = [Scale()]
    """Passes over the picture, each from the one before: SIZE:STEPS,SIZE:STEPS; or how many, from
    half of size to size and so on, the steps shared out; or auto: as many as pay."""

    style_size: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Longest side of the style at the last scale (in proportion before); by default the size of
    the content."""

    style_scale: Annotated[list[Positive], BeforeValidator(parse_numbers), Field(min_length=1)] = [
        1.0
    ]
    """Size of strokes: that of the style relative to the content's, or several, which are blended:
    0.5,1,2."""

    style_fit: Literal["keep", "content"] = "keep"
    """Whether the style keeps its own aspect, or is reshaped to the size of the content."""

    preserve_color: Literal["none", "luminance", "match-linear", "match-histogram"] = "none"
    """Keep the content's colours: luminance transfers brightness alone (Y of YIQ) and puts the
    content's colours back; match-linear and match-histogram give the style the content's colours
    first, in sRGB."""

    color_variant: Literal["symmetric", "pca", "cholesky"] = "symmetric"
    """Which of the maps that match-linear has to choose from; symmetric moves colours least."""

    upscale: bool = False
    """Enlarge pictures that are smaller than the size asked for."""

    init: Annotated[str, Field(min_length=1)] = "content"
    """Start: content, noise, gray (the content without its colours), style, or a picture file."""

    noise_std: Positive = 0.25
    """Standard deviation of the noise start around middle grey, in [0, 1] units."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the noise start and of random weights."""

    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    """Optimiser."""

    learning_rate: Positive | None = None
    """Learning rate; by default 1 for lbfgs and 0.02 for adam."""

    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the squared gradients that adam remembers."""

    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of a running average of the pictures after each step, which then is the result (0.99:
    about the last hundred; 0: none)."""

    lbfgs_memory: Annotated[int, Field(ge=1, le=1000)] = 10
    """Correction pairs that L-BFGS remembers."""

    first_step: Literal["torch"] | Positive = 0.02
    """First step of L-BFGS: root-mean-square displacement in [0, 1] units, or torch (1/|g|)."""

    longest_step: Positive | None = 0.05
    """No step of L-BFGS displaces the picture by more than this (root mean square, in [0, 1]
    units); none: as far as it likes, as torch does."""

    stop_below: Positive | None = None
    """Stop a picture when its loss fell by less than this in 20 steps, as a share of itself (0.001:
    one thousandth); none: make all steps."""

    bounds: bool = True
    """Keep the picture within [0, 1] after every step, with the memory of L-BFGS knowing it."""

    @model_validator(mode="before")
    @classmethod
    def _implied(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        data = USUAL_STYLE.get(str(data.get("style_loss")), {}) | dict(data)
        short = {key: data[key] for key in ("size", "steps") if key in data}
        asked = data.get("scales", cls.usual_scales)
        rest = {k: v for k, v in data.items() if k not in short}
        if is_number_of_scales(asked):
            last = Scale.model_validate(short)
            count = None if asked == "auto" else int(asked)
            return rest | {"scales": coarse_to_fine(last.size, last.steps, count)}
        if short:
            raise ValueError("give either a list of scales, or size and steps")
        return data

    @field_validator("first_step", mode="before")
    @classmethod
    def _number_or_torch(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "torch":
            try:
                return float(value)
            except ValueError:
                raise ValueError(f"should be torch or a number above 0, not {value!r}") from None
        return value

    @field_validator("longest_step", "stop_below", "learning_rate", "style_size", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return None if value in ("none", "null") else value

    @model_validator(mode="after")
    def _consistent(self) -> "TransferSettings":
        for field in ("content_layers", "style_layers"):
            layers = getattr(self, field)
            names = [canonical(name, self.network) for name in layers]
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise UserError(f"{field} names {', '.join(sorted(twice))} twice.")
        shallow = [name for name in self.active_style_layers if int(name[4]) < PATCH_BLOCKS]
        if self.style_loss == "patches" and shallow:
            raise UserError(
                f"style_loss patches: {', '.join(shallow)} has too many patches to compare; name "
                "deeper layers, such as --style-layers relu3_1,relu4_1."
            )
        if self.style_size is not None and self.style_scale != [1.0]:
            raise UserError(
                "style_size and style_scale both say how large the style is: give one of them."
            )
        if not self.active_content_layers and not self.active_style_layers:
            raise UserError(
                "nothing to optimise: give content_layers or style_layers a weight above 0."
            )
        return self

    @property
    def active_content_layers(self) -> dict[str, float]:
        """Canonical name → weight, of the content layers that count."""
        return self._active(self.content_layers, self.content_weight)

    @property
    def active_style_layers(self) -> dict[str, float]:
        """Canonical name → weight, of the style layers that count."""
        return self._active(self.style_layers, self.style_weight)

    def _active(self, layers: dict[str, float], weight: float) -> dict[str, float]:
        if weight == 0:
            return {}
        return {canonical(name, self.network): w for name, w in layers.items() if w > 0}

    @property
    def term_weights(self) -> dict[str, float]:
        """Term of the loss → its weight; 0 for a term without layers."""
        return {
            "content": self.content_weight if self.active_content_layers else 0.0,
            "style": self.style_weight if self.active_style_layers else 0.0,
            "tv": self.tv_weight,
        }

    @property
    def resolved_learning_rate(self) -> float:
        """The learning rate with its default made explicit."""
        return self.learning_rate or {"lbfgs": 1.0, "adam": 0.02}[self.optimizer]

    @property
    def total_steps(self) -> int:
        """Steps over all scales."""
        return sum(scale.steps for scale in self.scales)

    def at(self, scale: Scale) -> "TransferSettings":
        """The settings as they count at one of the scales."""
        return self.model_copy(
            update={"content_weight": self.content_weight * scale.content_weight}
        )

    def style_size_at(self, scale: Scale, content: tuple[int, int] | None = None) -> int:
        """Longest side of the style at one of the scales, before `style_scale`.

        Args:
            scale: one of `scales`.
            content: (height, width) of the content's file, for scales that are a share of it.
        """
        here = scale.longest_of(content)
        if self.style_size is None:
            return here
        return max(1, round(self.style_size * here / self.scales[-1].longest_of(content)))


WRITTEN = ("format", "quality", "bit_depth", "dither", "keep_exif", "finish")
"""The settings that say how a result is written."""


class BatchSettings(TransferSettings):
    """What `nst-batch` can be told: the transfer, and how it is run and saved."""

    usual_scales: ClassVar[int | str] = "auto"

    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed", "64-true"] = "auto"
    """Precision of the network (16-mixed needs a GPU); losses stay in float32 at least; auto is
    bf16-mixed where the device computes in it natively, else 32-true."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """Where to run; auto takes a GPU where there is one."""

    devices: Annotated[Literal["auto"] | int | list[int], BeforeValidator(parse_devices)] = "auto"
    """Workers, a process each: on a GPU how many GPUs, or which (0,2), or auto for all; on the CPU
    how many workers share its cores (auto: one)."""

    batch_size: Annotated[
        Literal["auto"] | Annotated[int, Field(ge=1)], BeforeValidator(parse_number)
    ] = "auto"
    """Pictures optimised together; auto is 1 on the CPU and what the memory takes on a GPU."""

    compile: bool = False
    """Compile the evaluation with torch.compile: about a minute for each shape of picture, so for
    large grids on a GPU only; needs a C++ compiler."""

    recompute: bool = False
    """Compute features twice rather than keep them: less memory, a third more time."""

    checkpoint_every: Annotated[float, Field(ge=0)] = 300.0
    """Seconds between two saved states of the pictures in progress, from which an interrupted run
    goes on (0: only when it is told to stop)."""

    save_every: Annotated[int, Field(ge=0)] = 0
    """Save a snapshot every N steps (0: none)."""

    save_first: Annotated[int, Field(ge=0)] = 0
    """Save a snapshot after each of the first K steps."""

    save_at: Annotated[list[Annotated[int, Field(ge=1)]], BeforeValidator(parse_numbers)] = []
    """Save a snapshot after these steps too: 1,2,5,10."""

    curves: bool = False
    """Write history.csv, the losses of each step, and curves.png beside each result."""

    animate: Literal["none", "gif", "mp4", "webp"] = "none"
    """Film of the optimisation beside each result, its frames those of the snapshots asked for."""

    log_every: Annotated[int, Field(ge=1)] = 10
    """Where plain lines are printed: one with the losses every N steps."""

    recursive: bool = False
    """Look for pictures in sub-folders too, and keep the sub-folders in the output."""

    max_pixels: Annotated[int, Field(ge=1)] = MAX_PIXELS
    """Refuse pictures of more pixels than this as decompression bombs."""

    format: Literal["png", "jpeg", "webp", "tiff"] = "png"
    """File format of the results."""

    quality: Annotated[int, Field(ge=1, le=100)] = 95
    """Quality of jpeg and webp; webp at 100 is lossless."""

    bit_depth: Annotated[Literal[8, 16], BeforeValidator(parse_number)] = 8
    """Bits of each channel; 16 with png and tiff only."""

    dither: bool = False
    """Round each value up or down by chance, the same in every run, so that smooth gradients show
    no steps; the mean stays."""

    keep_exif: bool = False
    """Copy date, camera and GPS position from the content's EXIF into the result."""

    finish: Literal["none", "detail"] = "none"
    """What is done to the optimised picture: detail enlarges it to the content's own size, with the
    content's own detail."""

    @property
    def suffix(self) -> str:
        """The suffix of the results, without its dot."""
        return RESULT_SUFFIXES[self.format]

    @model_validator(mode="after")
    def _can_be_written(self) -> "BatchSettings":
        if self.bit_depth == 16 and self.format in ("jpeg", "webp"):
            raise UserError(
                f"bit_depth 16 does not go with format {self.format}, which holds 8 bits: choose "
                "format png or tiff, or bit_depth 8."
            )
        if self.finish == "detail" and isinstance(self.scales[-1].target, tuple):
            raise UserError(
                f"finish detail does not go with size {self.scales[-1].size}, for it needs the "
                "content's own aspect: give the longest side alone."
            )
        return self


def build(data: Mapping[str, Any], source: str = "") -> BatchSettings:
    """Validated settings from a mapping.

    Args:
        data: settings by name, values as in YAML or as typed on the command line.
        source: where they come from, for the message.

    Raises:
        UserError: one sentence that names the setting, what is wrong and what is allowed.
    """
    try:
        return BatchSettings.model_validate(data)
    except ValidationError as error:
        prefix = f"{source}: " if source else ""
        raise UserError(prefix + explain(error)) from None


def explain(error: ValidationError) -> str:
    """The first complaint of a ValidationError, as one sentence."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    name = place[0] if place else ""
    if first["type"] == "extra_forbidden":
        known = [*BatchSettings.model_fields, "size", "steps"]
        near = difflib.get_close_matches(place[-1], known, n=1)
        hint = (
            f": did you mean {near[0]!r}?" if near else "; `nst-batch presets default` shows all."
        )
        return f"there is no setting {place[-1]!r}{hint}"
    if name in ("batch_size", "first_step"):
        other = "auto" if name == "batch_size" else "torch"
        return f"{name} should be {other} or a number above 0, not {first['input']!r}."
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    message = message[:1].lower() + message[1:]
    where = ".".join(part for part in place if not part.startswith(("function-", "constrained-")))
    where = re.sub(r"^scales\.\d+\.|\.\d+$", "", where)
    got = "" if isinstance(first["input"], (dict, BaseModel)) else f", not {first['input']!r}"
    if first["type"] == "value_error":
        got = ""
    return f"{where} {message}{got}." if where else f"{message}."


def read_yaml(path: Path) -> dict[str, Any]:
    """The settings of a YAML file, not yet validated.

    Raises:
        UserError: absent, unreadable, not YAML, or not a mapping.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such settings file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a settings file ({error}).") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: is not valid YAML: {reason}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise UserError(f"{path}: should hold settings as `name: value` lines.")
    return {str(key): value for key, value in data.items()}


def dump_yaml(settings: BatchSettings) -> str:
    """Complete settings as YAML that `--config` reads back."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Settings from several sources; later wins.

    A list of scales replaces earlier sizes and steps. A `size` or `steps`, or a number of scales,
    over an earlier list replaces it: the steps default to their sum, the size to that of the last,
    and the number of scales to 1, so that a published setting stays what it is at another size.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        before = merged.get("scales", "auto")
        if "scales" in layer and not is_number_of_scales(layer["scales"]):
            merged = {k: v for k, v in merged.items() if k not in ("size", "steps")}
        elif {"size", "steps", "scales"} & set(layer) and not is_number_of_scales(before):
            earlier = [Scale.model_validate(scale) for scale in parse_scales(before)]
            merged["size"] = earlier[-1].size
            merged["steps"] = sum(scale.steps for scale in earlier)
            merged["scales"] = 1
        merged.update(layer)
    return merged


def finite(value: float) -> float | None:
    """A number as JSON can hold it."""
    return value if math.isfinite(value) else None
