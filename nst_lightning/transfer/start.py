"""The images that the optimisation starts from."""

import torch
from torch import Tensor

from nst_lightning.imaging.reading import load_image
from nst_lightning.imaging.resize import resize
from nst_lightning.settings import TransferSettings
from nst_lightning.transfer.keep_colours import luma


def starting_image(
    content: Tensor,
    style: Tensor,
    settings: TransferSettings,
    seed: int | None = None,
) -> Tensor:
    """Makes the start that `settings.init` names, shaped as the content.

    Args:
        content: (B, 3, H, W) in [0, 1].
        style: (B, 3, h, w) or (1, 3, h, w) in [0, 1].
        settings: `init`, `noise_std`, `seed`, `resampling`.
        seed: of the noise, instead of `settings.seed`.

    Returns:
        (B, 3, H, W); the same noise for all B.

    Raises:
        UserError: the start image cannot be read.
    """
    height, width = content.shape[-2:]
    if settings.init == "content":
        return content
    if settings.init == "gray":
        return luma(content)
    if settings.init == "style":
        return resize(style, height, width, how=settings.resampling).expand_as(content)
    if settings.init == "noise":
        generator = torch.Generator().manual_seed(settings.seed if seed is None else seed)
        white = torch.randn(1, 3, height, width, generator=generator)
        return (0.5 + settings.noise_std * white).to(content).expand_as(content)
    image = load_image(settings.init)
    return resize(image, height, width, how=settings.resampling).to(content).expand_as(content)
