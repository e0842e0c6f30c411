"""The identity of a result: everything that decides its pixels, in one hash. Imports no torch."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nst_lightning.files import file_sha256
from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import Source
from nst_lightning.settings import BatchSettings, Scale, knob_of
from nst_lightning.settings.layers import canonical

ALGORITHM = 5
"""Raised when a formula changes the pixels; a new setting or default does not."""

INITS = ("content", "noise", "gray", "style")


def canonical_settings(settings: BatchSettings) -> dict[str, Any]:
    """Returns every setting as JSON has it, by one of its spellings.

    Layers have their canonical names, the learning rate its value, and a start image the sha256 of
    its bytes in place of its path, while it is there.
    """
    values = settings.model_dump(mode="json")
    for name in ("content_layers", "style_layers"):
        values[name] = {canonical(k, settings.network): v for k, v in values[name].items()}
    values["learning_rate"] = settings.resolved_learning_rate
    if settings.init not in INITS and Path(settings.init).is_file():
        values["init"] = file_sha256(Path(settings.init))
    return values


def pixel_settings(settings: BatchSettings) -> dict[str, Any]:
    """Returns the settings that affect pixels or their file, and are not neutral.

    Left out are the name of the weights and what they are fed: their checksum counts.
    """
    values = canonical_settings(settings)
    values["scales"] = [
        {
            name: scale[name]
            for name, field in Scale.model_fields.items()
            if scale[name] != knob_of(field).neutral
        }
        for scale in values["scales"]
    ]
    chosen = {}
    for name, field in type(settings).model_fields.items():
        knob = knob_of(field)
        counts = knob.touches != "running" and knob.counts(settings)
        if counts and values[name] != knob.neutral and name not in ("weights", "weights_input"):
            chosen[name] = values[name]
    return chosen


def fingerprint(
    settings: BatchSettings,
    weights_checksum: str,
    content_sha256: str,
    style_sha256: str,
    masks_sha256: str = "",
) -> str:
    """Returns the sha256 over all that decides the pixels of one pair; see `Fingerprints`."""
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
        """Returns the sha256 over the algorithm's version, settings, weights and inputs."""
        masks = f'", "masks": "{masks_sha256}' if masks_sha256 else ""
        text = self.before + content_sha256 + masks + self.between + style_sha256 + self.after
        return hashlib.sha256(text.encode()).hexdigest()


def content_sha256(source: Source, sha256: Callable[[Path], str]) -> str:
    """Returns the identity of a content: of its file's bytes or, of a mesh and of a folder of
    frames, of all its files'."""
    files: list[str]
    if source.film is not None and source.film.clip.images:
        files = [sha256(path) for path in source.film.clip.images]
    elif source.model is not None and source.model.used:
        files = [sha256(path) for path in (source.path, *source.model.used)]
    else:
        return sha256(source.path)
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def style_sha256(source: Source, sha256: Callable[[Path], str]) -> str:
    """Returns the identity of a style: of its file's bytes or, of a blend, its parts and shares."""
    if not source.blend:
        return sha256(source.path)
    parts = [[sha256(part.path), part.share, part.region] for part in source.blend]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def masks_sha256(pair: Pair, sha256: Callable[[Path], str]) -> str:
    """Returns the identity of the masks that count for a pair; empty where it has no regions."""
    if pair.content.mask is None:
        return ""
    film = pair.content.film
    of_content = [pair.content.mask] if film is None else film.masks
    masks = [*of_content, *(part.mask for part in pair.style.parts)]
    digests = [mask and sha256(mask) for mask in masks]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def pair_seed(seed: int, content_sha256: str, style_sha256: str) -> int:
    """Returns the seed of a pair's random start, which is from the seed and the pair alone."""
    digest = hashlib.sha256(f"{seed}:{content_sha256}:{style_sha256}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
