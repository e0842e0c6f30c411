"""What models of settings are made of. Imports no torch."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

NETWORK = "Network"
LOSSES = "Losses"
OPTIMISER = "Start and optimiser"
SIZES = "Size and scales"
COLOURS = "Colour and regions"
FILMS = "Films"
MESHES = "Meshes"
OUTPUT = "Output"
RUNNING = "Running"
PANELS = (SIZES, LOSSES, NETWORK, OPTIMISER, COLOURS, MESHES, FILMS, OUTPUT, RUNNING)
"""The subjects of the settings, in the order in which the help shows them."""


@dataclass(frozen=True, eq=False)
class Knob:
    """What a setting is about, beside its type, bounds and default; part of its annotation."""

    touches: Literal["pixels", "writing", "running"]
    """The optimised image, the file that holds it, or neither."""

    panel: str
    """Its subject, one of `PANELS`."""

    neutral: Any = None
    """The value, as JSON has it, that a fingerprint leaves out. It stays for ever what it is,
    whatever becomes of the default, so that a new setting changes no fingerprint and a new default
    does not take old results for new ones. Without meaning where only running is touched."""

    goes_with: tuple[Any, ...] = ()
    """Another setting or a property of them, and its values with which alone this one counts."""

    def counts(self, settings: "Model") -> bool:
        """Returns whether the setting makes a difference beside the others."""
        setting, *values = self.goes_with or ("",)
        return not setting or getattr(settings, setting) in values


def knob_of(field: FieldInfo) -> Knob:
    """Returns what is known of a setting's field."""
    (knob,) = (one for one in field.metadata if isinstance(one, Knob))
    return knob


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Model(BaseModel):
    """Frozen, and strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def parse_number(value: Any) -> Any:
    """Reads `16` as 16, for a choice that a number is among."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def parse_numbers(value: Any) -> Any:
    """Reads `1,2,5` as [1, 2, 5] and 3 as [3]."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [value] if isinstance(value, (int, float)) else value
