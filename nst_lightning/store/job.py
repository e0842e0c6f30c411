"""A pair with the identity of its inputs. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nst_lightning.grid.pairs import Pair


@dataclass(frozen=True, slots=True)
class Job:
    """A pair to make, and the identity of its inputs."""

    pair: Pair
    content_sha256: str
    style_sha256: str
    fingerprint: str
    case: Mapping[str, str] = field(default_factory=dict)
    """In a sweep: axis → what it is here."""
    masks_sha256: str = ""
    """Of the masks, where the pair has regions."""
