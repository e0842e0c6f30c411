"""What `evaluate` measures: names of columns and the layers they look at. Imports no torch."""

FILE = "evaluation.csv"
"""Of an output folder: one row per result."""

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""Of Gram and Wasserstein distance: the first of each block, as in Huang & Belongie 2017."""

CONTENT_LAYER = "relu4_2"
"""Of the content distance: the layer of Gatys, Ecker & Bethge 2016."""

STRUCTURE_LAYER = "relu3_1"
"""Of CFSD (Chung, Hyun & Heo 2024)."""

GRAM, WASSERSTEIN = "style_gram", "style_wasserstein"

SUMMARY = {
    GRAM: "Gram",
    WASSERSTEIN: "Wasserstein",
    "colour_distance": "colours",
    "content_distance": "content",
    "lpips": "LPIPS",
    "ssim": "SSIM",
    "edge_agreement": "edges",
    "cfsd": "CFSD",
    "total_variation": "variation",
    "identity_psnr": "identity, dB",
}
"""The columns that sum a result up, and what they are called where there is little room."""


def by_layer(name: str) -> dict[str, str]:
    """Layer → column of a distance that is taken layer by layer."""
    return {layer: f"{name}_{layer}" for layer in STYLE_LAYERS}


METRICS = tuple(
    column
    for name in SUMMARY
    for column in (name, *(by_layer(name).values() if name in (GRAM, WASSERSTEIN) else ()))
)
"""Every column of numbers, in order."""

KEYS = ("output", "finished", "yardstick")
"""The last columns: which result it is, when it was made, and what measured it."""
