"""The identity of a result: everything that decides its pixels, in one hash. Imports no torch."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import Source
from nst_lightning.settings import WRITTEN, BatchSettings, TransferSettings
from nst_lightning.settings.layers import canonical

ALGORITHM = 3
"""Raised when a default or a formula changes the pixels."""

ONLY_WITH = {
    "color_variant": ("preserve_color", ("match-linear",)),
    "gram": ("style_loss", ("gram",)),
    "adam_beta2": ("optimizer", ("adam",)),
    "quality": ("format", ("jpeg", "webp")),
}
"""Settings that count only where another has one of these values."""

LATER: dict[str, Any] = {
    "preserve_color": "none",
    "style_loss": "gram",
    "weighting": "absolute",
    "normalize_gradients": False,
    "style_scale": [1.0],
    "adam_beta2": 0.999,
    "average": 0.0,
    "format": "png",
    "bit_depth": 8,
    "dither": False,
    "keep_exif": False,
    "finish": "none",
}
"""Settings that came later, and the values that are left out: with these, results of before there
was a choice stay what they are."""

INITS = ("content", "noise", "gray", "style")


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def pixel_settings(settings: BatchSettings) -> dict[str, Any]:
    """The settings that affect pixels, with defaults resolved and layers under canonical names.

    The names of weights and of a start picture are left out: their bytes count, not their paths.
    """
    fields = {*TransferSettings.model_fields, *WRITTEN}
    chosen: dict[str, Any] = {
        name: value for name, value in settings.model_dump(mode="json").items() if name in fields
    }
    for name in ("content_layers", "style_layers"):
        chosen[name] = {canonical(k, settings.network): v for k, v in chosen[name].items()}
    chosen["learning_rate"] = settings.resolved_learning_rate
    chosen["precision"] = settings.precision
    chosen.pop("weights")
    for name, (user, values) in ONLY_WITH.items():
        if getattr(settings, user) not in values:
            chosen.pop(name)
    for name, neutral in LATER.items():
        if chosen.get(name) == neutral:
            chosen.pop(name)
    if settings.init not in INITS:
        chosen["init"] = file_sha256(Path(settings.init))
    return chosen


def fingerprint(
    settings: BatchSettings,
    weights_checksum: str,
    content_sha256: str,
    style_sha256: str,
    masks_sha256: str = "",
) -> str:
    """sha256 over the algorithm's version, the settings that affect pixels, weights and inputs."""
    prints = Fingerprints(settings, weights_checksum)
    return prints.of(content_sha256, style_sha256, masks_sha256)


class Fingerprints:
    """The fingerprints of many pairs with the same settings and weights."""

    def __init__(self, settings: BatchSettings, weights_checksum: str) -> None:
        # The JSON of all that counts, by its sorted keys, with room for the inputs.
        chosen = json.dumps(pixel_settings(settings), sort_keys=True)
        self.before = f'{{"algorithm": {ALGORITHM}, "content": "'
        self.between = f'", "settings": {chosen}, "style": "'
        self.after = f'", "weights": {json.dumps(weights_checksum)}}}'

    def of(self, content_sha256: str, style_sha256: str, masks_sha256: str = "") -> str:
        """sha256 over the algorithm's version, settings, weights and the inputs of a pair."""
        masks = f'", "masks": "{masks_sha256}' if masks_sha256 else ""
        text = self.before + content_sha256 + masks + self.between + style_sha256 + self.after
        return hashlib.sha256(text.encode()).hexdigest()


def style_sha256(source: Source, sha256: Callable[[Path], str]) -> str:
    """The identity of a style: of its file's bytes or, for a blend, of its parts and shares."""
    if not source.blend:
        return sha256(source.path)
    parts = [[sha256(part.path), part.share, part.region] for part in source.blend]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def masks_sha256(pair: Pair, sha256: Callable[[Path], str]) -> str:
    """The identity of the masks that count for a pair; empty where it has no regions."""
    if pair.content.mask is None:
        return ""
    masks = [pair.content.mask, *(part.mask for part in pair.style.parts)]
    digests = [mask and sha256(mask) for mask in masks]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def pair_seed(seed: int, content_sha256: str, style_sha256: str) -> int:
    """The seed of a pair's random start: from the seed and the pair alone, not from its company."""
    digest = hashlib.sha256(f"{seed}:{content_sha256}:{style_sha256}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
