"""What `evaluate` measures: names of columns and the layers they look at. Imports no torch."""

from typing import NamedTuple

METRICS_VERSION = 2
"""Raised when a formula changes, so that older numbers are not taken for its own."""

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""Of Gram and Wasserstein distance: the first of each block, as in Huang & Belongie 2017."""

CONTENT_LAYER = "relu4_2"
"""Of the content distance: the layer of Gatys, Ecker & Bethge 2016."""

STRUCTURE_LAYER = "relu3_1"
"""Of CFSD (Chung, Hyun & Heo 2024)."""

GRAM, WASSERSTEIN = "style_gram", "style_wasserstein"


class Column(NamedTuple):
    """What a column is to people."""

    label: str
    """Where there is little room."""
    meaning: str
    listed: bool = True
    """Whether the gallery's list shows it; what is known of one result shows it anyway."""


SUMMARY = {
    GRAM: Column(
        "Gram",
        "Distance of the Gram matrices to the style's, relative to the style's, mean of five "
        "layers: 0 is the style",
    ),
    WASSERSTEIN: Column(
        "Wasserstein",
        "Wasserstein-2 distance of the features to the style's, relative to the style's size, mean "
        "of five layers: 0 is the style",
    ),
    "colour_distance": Column(
        "colours",
        "Distance of the colour histogram to the style's: 0 the same colours, 1 none in common",
    ),
    "content_distance": Column(
        "content distance", "Distance of the features to the content's, relative to the content's"
    ),
    "lpips": Column("LPIPS", "Perceptual distance to the content: 0 is the content"),
    "ssim": Column("SSIM", "Structural similarity to the content: 1 is the content"),
    "edge_agreement": Column(
        "edges", "Correlation of edge strengths with the content's: 1 where it has its edges"
    ),
    "cfsd": Column(
        "CFSD", "Divergence of patch self-similarity from the content's: 0 is the content's"
    ),
    "total_variation": Column(
        "variation", "Mean step from each value to its two neighbours", listed=False
    ),
    "identity_psnr": Column(
        "identity, dB", "PSNR against the one image that is both content and style"
    ),
    "e_warp": Column(
        "warp error",
        "Films: mean square difference between a frame and the one before moved along the motion "
        "of the content, where that is reliable: 0 does not flicker",
        listed=False,
    ),
    "e_warp_input": Column(
        "warp error, content", "Films: the same of the content itself", listed=False
    ),
    "e_warp_ratio": Column(
        "flicker", "Films: warp error by the content's own: 1 flickers as the content does"
    ),
    "join_ratio": Column(
        "joins",
        "Films: warp error where segments fade into one another, by that elsewhere: 1 shows none",
    ),
    "revealed_change": Column(
        "revealed",
        "Films: change from the content in areas that come into view, by that elsewhere: 1 is as "
        "much stylised",
    ),
    "luma_drift": Column(
        "drift",
        "Films: levels by which a shot grows brighter (or darker, below 0) from its first frame to "
        "its last, beyond the content: 0 keeps",
    ),
    "first_rms": Column(
        "ghosts",
        "Films: levels, RMS, by which a frame differs from its shot's first where the content "
        "stands still, the largest of all frames: 0 is the same",
    ),
}
"""The columns that sum a result up. Those of images are, of a film, means over four frames."""

FILM_METRICS = tuple(list(SUMMARY)[list(SUMMARY).index("e_warp") :])
"""The columns that only films have."""


def layer_columns(name: str) -> dict[str, str]:
    """Returns layer → column of a distance that is taken layer by layer."""
    return {layer: f"{name}_{layer}" for layer in STYLE_LAYERS}


METRICS = tuple(
    column
    for name in SUMMARY
    for column in (name, *(layer_columns(name).values() if name in (GRAM, WASSERSTEIN) else ()))
)
"""Every column of numbers, in order."""
