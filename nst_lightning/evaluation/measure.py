"""All metrics of a batch of results, by column."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nst_lightning.evaluation.cfsd import CFSD
from nst_lightning.evaluation.colours import ColourHistogramDistance
from nst_lightning.evaluation.columns import GRAM, STYLE_LAYERS, WASSERSTEIN, by_layer
from nst_lightning.evaluation.content import ContentDistance
from nst_lightning.evaluation.edges import EdgeAgreement
from nst_lightning.evaluation.gram import GramDistance
from nst_lightning.evaluation.per_image import PerImage
from nst_lightning.evaluation.similarity import ssim
from nst_lightning.evaluation.sources import Content
from nst_lightning.evaluation.style import Style
from nst_lightning.evaluation.wasserstein import WassersteinDistance
from nst_lightning.evaluation.yardstick import Look

Compare = Callable[[Tensor, Tensor], Tensor]


def against_content(
    images: Tensor, look: Look | None, contents: Sequence[Content], lpips: Compare | None
) -> dict[str, Tensor]:
    """How results compare with their contents.

    Args:
        images: (B, 3, H, W) in [0, 1].
        look: what the yardstick sees in them; None where they are too small for it.
        contents: one for each.
        lpips: that metric, where it is to be had.

    Returns:
        (B,) by column.
    """
    wanted = torch.cat([content.image for content in contents])
    found = {"ssim": ssim(images, wanted), "edge_agreement": of(EdgeAgreement(), images, wanted)}
    if lpips:
        found["lpips"] = lpips(images, wanted)
    looks = [content.look for content in contents if content.look is not None]
    if look is not None and len(looks) == len(contents):
        features = torch.cat([one.content for one in looks])
        structures = torch.cat([one.structure for one in looks])
        found["content_distance"] = of(ContentDistance(), look.content, features)
        found["cfsd"] = of(CFSD(), look.structure, structures)
    return found


def against_style(images: Tensor, look: Look | None, styles: Sequence[Style]) -> dict[str, Tensor]:
    """How results compare with their styles, layer by layer and in the layers' mean.

    Args:
        images: (B, 3, H, W) in [0, 1].
        look: what the yardstick sees in them; None where they are too small for it.
        styles: one for each.

    Returns:
        (B,) by column.
    """
    colours = torch.cat([style.statistics.colours for style in styles])
    found = {"colour_distance": of(ColourHistogramDistance(), images, colours)}
    if look is None:
        return found
    for layer in STYLE_LAYERS:
        mean, second = look.moments[layer]
        means, seconds = (
            torch.cat([style.statistics.moments[layer][i] for style in styles]) for i in (0, 1)
        )
        roots = torch.cat([style.roots[layer] for style in styles])
        found[by_layer(GRAM)[layer]] = of(GramDistance(), second, seconds)
        found[by_layer(WASSERSTEIN)[layer]] = of(
            WassersteinDistance(), mean, second, means, seconds, roots
        )
    for name in (GRAM, WASSERSTEIN):
        found[name] = torch.stack([found[column] for column in by_layer(name).values()]).mean(dim=0)
    return found


def of(metric: PerImage, *inputs: Tensor) -> Tensor:
    """The values of one batch, (B,)."""
    metric.update(*inputs)
    found: Tensor = metric.compute()
    return found.reshape(-1)  # torchmetrics makes a scalar of a single value
