"""Whether a picture has its edges where the content has them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.evaluation.per_image import PerImage
from nst_lightning.transfer.colour import luma

SOBEL = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))


def edge_strength(images: Tensor) -> Tensor:
    """Sobel magnitude of the luma (ITU-R BT.601), away from the border.

    Args:
        images: (B, 3, H, W) in [0, 1], sides of at least 3.

    Returns:
        (B, H − 2, W − 2).
    """
    across = torch.tensor(SOBEL, dtype=images.dtype, device=images.device)
    slopes = F.conv2d(luma(images)[:, :1], torch.stack([across, across.T])[:, None])
    return slopes.square().sum(dim=1).sqrt()


def edge_agreement(images: Tensor, contents: Tensor) -> Tensor:
    """Pearson's correlation of the edge strengths of pictures with those of their contents.

    Gradient magnitudes are what Xue et al. 2014 (GMSD) compare too. By a correlation of them, no
    threshold says what an edge is, and contrast may change as long as places do not.

    Args:
        images: (B, 3, H, W) in [0, 1].
        contents: (B, 3, H, W) in [0, 1].

    Returns:
        (B,) in [−1, 1]; 1 where edges are proportional; nan where one of the two has none.
    """
    if min(images.shape[-2:]) < 3:
        return images.new_full((len(images),), float("nan"))
    a, b = (edge_strength(each).flatten(1) for each in (images, contents))
    a, b = (each - each.mean(dim=1, keepdim=True) for each in (a, b))
    norms = a.norm(dim=1) * b.norm(dim=1)
    return torch.where(norms > 0, (a * b).sum(dim=1) / norms, float("nan"))


class EdgeAgreement(PerImage):
    """`edge_agreement` of each image."""

    higher_is_better = True

    def measure(self, *inputs: Tensor) -> Tensor:
        """Pictures and contents, (B, 3, H, W) each, → (B,)."""
        return edge_agreement(*inputs)
