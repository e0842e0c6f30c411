"""What models of settings are made of. Imports no torch."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Model(BaseModel):
    """Frozen, and strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def parse_number(value: Any) -> Any:
    """`16` → 16, for a choice that a number is among."""
    return int(value) if isinstance(value, str) and value.isdigit() else value


def parse_numbers(value: Any) -> Any:
    """`1,2,5` → [1, 2, 5]; 3 → [3]."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [value] if isinstance(value, (int, float)) else value
