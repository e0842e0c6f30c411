"""The settings that decide the pixels of a result. Imports no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)

from nst_lightning.errors import UserError
from nst_lightning.settings.knob import (
    COLOURS,
    FILMS,
    LOSSES,
    NETWORK,
    OPTIMISER,
    SIZES,
    Knob,
    Model,
    Positive,
    Weight,
    parse_number,
    parse_numbers,
)
from nst_lightning.settings.layers import Layers, canonical
from nst_lightning.settings.presets import read_preset
from nst_lightning.settings.sizes import (
    SHORT_FORM,
    Scale,
    ShorterSide,
    coarse_to_fine,
    is_number_of_scales,
    parse_scales,
)
from nst_lightning.settings.text import explain, merge

if TYPE_CHECKING:
    from typing_extensions import Self

StyleLossName = Literal[
    "gram", "mean-variance", "gram-moments", "wasserstein", "sliced-wasserstein", "patches"
]
PreserveColor = Literal["none", "luminance", "match-linear", "match-histogram"]
ColorVariant = Literal["symmetric", "pca", "cholesky"]

Resampling = Literal["bicubic", "bilinear"]
WeightsInput = Literal["auto", "caffe-bgr", "caffe-rgb", "imagenet", "imagenet-255"]
"""What a network is fed: what its file tells, 255·(pixel − mean) with the colours in either order,
RGB scaled by ImageNet's statistics, or 255·(RGB − ImageNet's mean)."""

FIVE_LAYERS = {
    "relu1_1": 1.0,
    "relu2_1": 0.25,
    "relu3_1": 0.0625,
    "relu4_1": 0.015625,
    "relu5_1": 0.015625,
}
"""The layers of Gatys' code, in its proportions 1/N²: neutral, so they stay as they are."""

USUAL_STYLE: dict[str, dict[str, Any]] = {
    "mean-variance": {"style_weight": 200.0},
    "gram-moments": {"style_weight": 0.0001},
    "wasserstein": {"style_weight": 100.0},
    "sliced-wasserstein": {"style_weight": 250.0},
    "patches": {"style_layers": {"relu3_1": 1.0, "relu4_1": 1.0}, "style_weight": 2.0},
}
"""Style loss → settings that suit it where they are not said; those of gram are the defaults. The
weights leave the content as far away as gram's do (a town and an expressionist painting at 160 px,
60 steps, between runs with weights of 1, 30 and 1000)."""

PATCH_BLOCKS = 3
"""From this block of the network on there are few enough patches to compare them all."""


class TransferSettings(Model):
    """What decides the pixels of a result (with the inputs, the weights' checksum and precision).

    `size` and `steps` are the short form of a single entry in `scales`.

    Raises:
        UserError: one sentence that names the setting, what is wrong and what is allowed.
    """

    usual_scales: ClassVar[int | str] = 1
    """What `scales` is where it is not said."""

    network: Annotated[Literal["vgg19", "vgg16"], Knob("pixels", NETWORK, "vgg19")] = "vgg19"
    """Network whose features are compared."""

    weights: Annotated[str, Field(min_length=1), Knob("pixels", NETWORK, "normalized")] = (
        "normalized"
    )
    """Weights of the network: normalized, caffe, imagenet, random, or a .safetensors or .pth
    file."""

    weights_input: Annotated[WeightsInput, Knob("pixels", NETWORK, "auto")] = "auto"
    """What the network of a weights file is fed, where the file does not tell: 255 times a pixel
    less its mean, in BGR or RGB order (caffe), RGB scaled by ImageNet's mean and deviation
    (imagenet), or by its mean alone (imagenet-255, which goes with weights imagenet too)."""

    pooling: Annotated[Literal["max", "avg"], Knob("pixels", NETWORK, "max")] = "max"
    """Pooling between the network's blocks."""

    padding: Annotated[Literal["zero", "replicate", "reflect"], Knob("pixels", NETWORK, "zero")] = (
        "zero"
    )
    """What the network sees around an image: zeros as published, the pixels at its border again, or
    its mirror image."""

    content_layers: Annotated[Layers, Knob("pixels", LOSSES, {"relu4_2": 1.0})] = {"relu4_2": 1.0}
    """Layers that hold the content, each with a weight: relu4_2 or relu3_2=0.5,relu4_2."""

    content_loss: Annotated[
        Literal["mse", "paper", "type0", "type1", "type2", "relative"],
        Knob("pixels", LOSSES, "mse"),
    ] = "mse"
    """Content loss: mse (mean of squares), paper (half the sum of squares, Gatys et al. 2016),
    type0, type1, type2 (titu1994's), or relative (as a share of the content's own squares)."""

    content_weight: Annotated[Weight, Knob("pixels", LOSSES, 1.0)] = 1.0
    """Weight of the content loss."""

    style_layers: Annotated[Layers, Knob("pixels", LOSSES, FIVE_LAYERS)] = FIVE_LAYERS
    """Layers whose statistics hold the style, each with a weight."""

    style_loss: Annotated[StyleLossName, Knob("pixels", LOSSES, "gram")] = "gram"
    """What of the layers holds the style: gram (Gram matrices), mean-variance (of each channel),
    gram-moments (both, SPST's), wasserstein (Gaussians), sliced-wasserstein (all of the
    distribution), patches (the most similar ones, CNN-MRF). Each has its own usual style_layers
    and style_weight."""

    gram: Annotated[
        Literal["positions", "tutorial", "paper", "jcjohnson", "titu1994"],
        Knob("pixels", LOSSES, "positions", goes_with=("style_loss", "gram")),
    ] = "positions"
    """What the Gram matrices are divided by: positions (M), tutorial and jcjohnson (C·H·W),
    paper (4N²M² under the squares), or titu1994 (36·W²·H² under the sum of squares)."""

    style_weight: Annotated[Weight, Knob("pixels", LOSSES, 80.0)] = 80.0
    """Weight of the style loss."""

    weighting: Annotated[
        Literal["absolute", "start", "energy"], Knob("pixels", LOSSES, "absolute")
    ] = "absolute"
    """What the weights of content and style layers weigh: the losses as they are (absolute), or
    each divided by its value at the start, or by its target's energy (its value for features of
    zero), so that the same weights serve every network."""

    normalize_gradients: Annotated[bool, Knob("pixels", LOSSES, False)] = False
    """Divide each loss's gradient to its layer's features by the sum of its absolute values
    (jcjohnson's); no loss has these gradients, so adam suits it better than lbfgs."""

    tv: Annotated[
        Literal["anisotropic", "squared", "titu1994", "nine-point"],
        Knob("pixels", LOSSES, "squared"),
    ] = "squared"
    """Total variation: anisotropic (sum of |d|), squared (sum of d²), titu1994 (power 1.25),
    nine-point (squares to all eight neighbours, crowsonkb's)."""

    tv_weight: Annotated[Weight, Knob("pixels", LOSSES, 0.0)] = 0.0
    """Weight of the total variation."""

    tv_reduction: Annotated[Literal["mean", "sum"], Knob("pixels", LOSSES, "mean")] = "mean"
    """Whether the total variation is a mean over pixel values (keeps its meaning from size to size)
    or a sum (published formulas)."""

    temporal_weight: Annotated[Weight, Knob("pixels", FILMS, 1000.0)] = 1000.0
    """Weight of the temporal loss, which holds each frame of a film to those before it, in units of
    the other losses: with 1000, one of 0.03 (root mean square) counts as much as they do."""

    pixel_range: Annotated[
        Literal[1, 255], BeforeValidator(parse_number), Knob("pixels", LOSSES, 1)
    ] = 1
    """Pixel range that a published setting is meant for: in it the total variation is measured, and
    the first step that torch takes."""

    scales: Annotated[
        list[Scale], BeforeValidator(parse_scales), Field(min_length=1), Knob("pixels", SIZES, [{}])
    ] = [Scale()]
    """Passes over the image, each from the one before: SIZE:STEPS,SIZE:STEPS; or how many, from
    half of size to size and so on, the steps shared out; or auto: as many as pay."""

    style_size: Annotated[Annotated[int, Field(ge=1, le=100_000)] | None, Knob("pixels", SIZES)] = (
        None
    )
    """Longest side of the style at the last scale (in proportion before); by default the size of
    the content."""

    style_scale: Annotated[
        list[Positive],
        BeforeValidator(parse_numbers),
        Field(min_length=1),
        Knob("pixels", SIZES, [1.0]),
    ] = [1.0]
    """Size of strokes: that of the style relative to the content's, or several, which are blended:
    0.5,1,2."""

    style_fit: Annotated[Literal["keep", "content"], Knob("pixels", SIZES, "keep")] = "keep"
    """Whether the style keeps its own aspect, or is reshaped to the size of the content."""

    preserve_color: Annotated[PreserveColor, Knob("pixels", COLOURS, "none")] = "none"
    """Keep the content's colours: luminance transfers brightness alone (Y of YIQ) and puts the
    content's colours back; match-linear and match-histogram give the style the content's colours
    first, in sRGB."""

    color_variant: Annotated[
        ColorVariant,
        Knob("pixels", COLOURS, "symmetric", goes_with=("preserve_color", "match-linear")),
    ] = "symmetric"
    """Which of the maps that match-linear has to choose from; symmetric moves colours least."""

    upscale: Annotated[bool, Knob("pixels", SIZES, False)] = False
    """Enlarge photographs that are smaller than the size asked for."""

    style_upscale: Annotated[
        bool, Knob("pixels", SIZES, False, goes_with=("style_fit", "keep"))
    ] = True
    """Enlarge a painting that is smaller than the result, so that its strokes keep their size in
    proportion to it."""

    resampling: Annotated[Resampling, Knob("pixels", SIZES, "bicubic")] = "bicubic"
    """How images are brought to their sizes: bicubic without aliasing, or bilinear from the four
    nearest pixels, as in programs of before 2015."""

    init: Annotated[str, Field(min_length=1), Knob("pixels", OPTIMISER, "content")] = "content"
    """Start: content, noise, gray (the content without its colours), style, or an image file."""

    noise_std: Annotated[Positive, Knob("pixels", OPTIMISER, 0.25)] = 0.25
    """Standard deviation of the noise start around middle grey, in [0, 1] units."""

    seed: Annotated[int, Field(ge=0, lt=2**63), Knob("pixels", OPTIMISER, 0)] = 0
    """Seed of the noise start and of random weights."""

    optimizer: Annotated[Literal["lbfgs", "adam"], Knob("pixels", OPTIMISER, "lbfgs")] = "lbfgs"
    """Optimiser."""

    learning_rate: Annotated[Positive | None, Knob("pixels", OPTIMISER, 1.0)] = None
    """Learning rate; by default 1 for lbfgs and 0.02 for adam."""

    adam_beta2: Annotated[
        float, Field(ge=0, lt=1), Knob("pixels", OPTIMISER, 0.999, goes_with=("optimizer", "adam"))
    ] = 0.999
    """Decay of the squared gradients that adam remembers."""

    average: Annotated[float, Field(ge=0, lt=1), Knob("pixels", OPTIMISER, 0.0)] = 0.0
    """Decay of a running average of the images after each step, which then is the result (0.99:
    about the last hundred; 0: none)."""

    lbfgs_memory: Annotated[int, Field(ge=1, le=1000), Knob("pixels", OPTIMISER, 10)] = 10
    """Correction pairs that L-BFGS remembers."""

    lbfgs_precision: Annotated[Literal["full", "bfloat16"], Knob("pixels", OPTIMISER, "full")] = (
        "full"
    )
    """What L-BFGS keeps its memory in: bfloat16 takes half, for images that are very large."""

    first_step: Annotated[Literal["torch"] | Positive, Knob("pixels", OPTIMISER, 0.02)] = 0.02
    """First step of L-BFGS: root-mean-square displacement in [0, 1] units, or torch (1/|g|, in
    pixel_range)."""

    later_first_step: Annotated[
        Literal["curvature", "same"],
        Knob("pixels", OPTIMISER, "same", goes_with=("starts_again", True)),
    ] = "curvature"
    """First step of L-BFGS at each scale but the first: as the curvature at the end of the scale
    before says, and at most first_step (curvature), or first_step (same)."""

    longest_step: Annotated[Positive | None, Knob("pixels", OPTIMISER, 0.05)] = 0.05
    """No step of L-BFGS displaces the image by more than this (root mean square, in [0, 1]
    units); none: as far as it likes, as torch does."""

    stop_below: Annotated[Positive | None, Knob("pixels", OPTIMISER)] = None
    """Stop an image when its loss fell by less than this in 20 steps, as a share of itself (0.001:
    one thousandth); none: make all steps."""

    bounds: Annotated[bool, Knob("pixels", OPTIMISER, True)] = True
    """Keep the image within [0, 1] after every step, with the memory of L-BFGS knowing it."""

    @classmethod
    def from_preset(cls, name: str, **settings: Any) -> "Self":
        """Returns the settings of a preset (`nst-batch presets` lists them).

        What a preset says about running and writing is left out where the class has no such
        settings.

        Args:
            name: of the preset.
            settings: any settings by name, `size` and `steps` included; they win.

        Raises:
            UserError: no such preset or setting, with the nearest name; or a value that cannot be.
        """
        known = {*cls.model_fields, *SHORT_FORM}
        preset = {key: value for key, value in read_preset(name).items() if key in known}
        return cls.model_validate(merge(preset, settings))

    if TYPE_CHECKING:  # so that type checkers know the short form

        def __init__(
            self, *, size: int | str = ..., steps: int | str = ..., **settings: Any
        ) -> None: ...

    @model_validator(mode="wrap")
    @classmethod
    def _explained(cls, data: Any, validate: ModelWrapValidatorHandler["Self"]) -> "Self":
        """Raises what is wrong as one sentence for the user."""
        try:
            return validate(data)
        except ValidationError as error:
            known = [*cls.model_fields, *SHORT_FORM]
            raise UserError(explain(error, known)) from None

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
        """Returns the weight by canonical name of the content layers that count."""
        return self._active(self.content_layers, self.content_weight)

    @property
    def active_style_layers(self) -> dict[str, float]:
        """Returns the weight by canonical name of the style layers that count."""
        return self._active(self.style_layers, self.style_weight)

    def _active(self, layers: dict[str, float], weight: float) -> dict[str, float]:
        if weight == 0:
            return {}
        return {canonical(name, self.network): w for name, w in layers.items() if w > 0}

    @property
    def term_weights(self) -> dict[str, float]:
        """Returns the weight by term of the loss; 0 for a term without layers."""
        return {
            "content": self.content_weight if self.active_content_layers else 0.0,
            "style": self.style_weight if self.active_style_layers else 0.0,
            "tv": self.tv_weight,
        }

    @property
    def network_weights(self) -> tuple[str, str, str]:
        """Returns what `load_weights` is to be given."""
        return self.weights, self.network, self.weights_input

    @property
    def whole_only(self) -> str:
        """Returns why an image cannot be taken through the network in tiles, as the rest of a
        sentence; "" where it can."""
        if self.active_style_layers and self.style_loss == "sliced-wasserstein":
            return (
                "style_loss sliced-wasserstein sorts the features of the whole image: choose "
                "wasserstein."
            )
        if self.normalize_gradients:
            return (
                "normalize_gradients needs the gradient of the whole image at each layer: leave it "
                "out."
            )
        return ""

    @property
    def resolved_learning_rate(self) -> float:
        """Returns the learning rate with its default made explicit."""
        return self.learning_rate or {"lbfgs": 1.0, "adam": 0.02}[self.optimizer]

    @property
    def starts_again(self) -> bool:
        """Whether L-BFGS begins anew at another scale."""
        return self.optimizer == "lbfgs" and len(self.scales) > 1

    @property
    def total_steps(self) -> int:
        """Returns the steps over all scales."""
        return sum(scale.steps for scale in self.scales)

    def at(self, scale: Scale) -> "TransferSettings":
        """Returns the settings as they count at one of the scales."""
        return self.model_copy(
            update={"content_weight": self.content_weight * scale.content_weight}
        )

    def style_size_at(
        self, scale: Scale, content: tuple[int, int] | None = None
    ) -> int | ShorterSide:
        """Returns the longest side of the style at one of the scales, or its shorter side where the
        scale is given by that, before `style_scale`.

        Args:
            scale: one of `scales`.
            content: (height, width) of the content's file, for scales that depend on it.
        """
        if self.style_size is None and isinstance(scale.target, ShorterSide):
            return scale.target
        here = scale.longest_of(content)
        if self.style_size is None:
            return here
        return max(1, round(self.style_size * here / self.scales[-1].longest_of(content)))
