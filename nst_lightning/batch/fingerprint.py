"""The identity of a result: everything that decides its pixels, in one hash. Imports no torch."""

import hashlib
import json
from pathlib import Path
from typing import Any

from nst_lightning.settings import WRITTEN, BatchSettings, TransferSettings
from nst_lightning.vgg.layers import canonical

ALGORITHM = 3
"""Raised when a default or a formula changes the pixels."""

INITS = ("content", "noise", "gray", "style")


NEUTRAL = ("preserve_color", *(name for name in WRITTEN if name != "quality"))
"""Settings that are left out of the identity where they have their default, and change nothing."""


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
    fields = TransferSettings.model_fields
    chosen: dict[str, Any] = {
        name: value for name, value in settings.model_dump(mode="json").items() if name in fields
    }
    for name in ("content_layers", "style_layers"):
        chosen[name] = {canonical(k, settings.network): v for k, v in chosen[name].items()}
    chosen["learning_rate"] = settings.resolved_learning_rate
    chosen["precision"] = settings.precision
    chosen.pop("weights")
    if settings.preserve_color != "match-linear":
        chosen.pop("color_variant")
    if settings.preserve_color == "none":  # results of before there was a choice stay what they are
        chosen.pop("preserve_color")
    chosen |= {
        name: value
        for name in WRITTEN
        if (value := getattr(settings, name)) != BatchSettings.model_fields[name].default
    }
    if settings.format in ("jpeg", "webp"):
        chosen["quality"] = settings.quality
    else:
        chosen.pop("quality", None)
    if settings.init not in INITS:
        chosen["init"] = file_sha256(Path(settings.init))
    return chosen


def fingerprint(
    settings: BatchSettings, weights_checksum: str, content_sha256: str, style_sha256: str
) -> str:
    """sha256 over the algorithm's version, the settings that affect pixels, weights and inputs."""
    return Fingerprints(settings, weights_checksum).of(content_sha256, style_sha256)


class Fingerprints:
    """The fingerprints of many pairs with the same settings and weights."""

    def __init__(self, settings: BatchSettings, weights_checksum: str) -> None:
        # The JSON of all that counts, by its sorted keys, with room for the inputs.
        chosen = json.dumps(pixel_settings(settings), sort_keys=True)
        self.before = f'{{"algorithm": {ALGORITHM}, "content": "'
        self.between = f'", "settings": {chosen}, "style": "'
        self.after = f'", "weights": {json.dumps(weights_checksum)}}}'

    def of(self, content_sha256: str, style_sha256: str) -> str:
        """sha256 over the algorithm's version, settings, weights and the inputs of a pair."""
        text = self.before + content_sha256 + self.between + style_sha256 + self.after
        return hashlib.sha256(text.encode()).hexdigest()


def pair_seed(seed: int, content_sha256: str, style_sha256: str) -> int:
    """The seed of a pair's random start: from the seed and the pair alone, not from its company."""
    digest = hashlib.sha256(f"{seed}:{content_sha256}:{style_sha256}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
