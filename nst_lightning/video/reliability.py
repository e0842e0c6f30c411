"""Where a flow can be believed."""

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.video.flow import LUMA
from nst_lightning.video.warping import inside, warp

MATCH_BOX = 15
"""Pixels a side of the box in which frames are compared."""
MATCH_SHARE = 0.1
"""Of a box's variance, how much a warped frame may miss. In a pan of 3.7 px a frame, results taken
from frames far back were off by 1.5 levels RMS with 0.1, by 10.9 without a limit."""
MATCH_NOISE = 4 / 255
"""What it may miss anywhere: the noise of two frames of a compressed film."""


def reliable(backward: Tensor, forward: Tensor) -> Tensor:
    """Says which pixels of a frame are seen in an earlier one, and where, by two flows.

    Ruder, Dosovitskiy & Brox 2016, "Artistic style transfer for videos", equations 6 and 7, after
    Sundaram, Brox & Keutzer 2010: with the flow w back and the flow ŵ forth, warped by w, a pixel
    is disoccluded where |w + ŵ|² > 0.01 (|w|² + |ŵ|²) + 0.5, and lies on a motion boundary, where
    flows are vague, if |∇u|² + |∇v|² > 0.01 |w|² + 0.002. What comes from outside the earlier frame
    is not seen there.

    Args:
        backward: the flow (1, 2, H, W) in pixels from the frame to the earlier one.
        forward: the flow from the earlier frame to this one, of the same size.

    Returns:
        (1, 1, H, W) in {0, 1}, float32: 1 for those that are seen.
    """
    back = warp(forward, backward, "bilinear")
    length = _squared(backward)
    returned = _squared(backward + back) <= 0.01 * (length + _squared(back)) + 0.5
    smooth = _slopes(backward) <= 0.01 * length + 0.002
    return inside(backward) * (returned & smooth)


def matching(frame: Tensor, warped: Tensor) -> Tensor:
    """Says where an earlier frame, warped, shows what the frame shows.

    Flows over long distances can agree with one another and be wrong; then images differ, by as
    much as the texture there varies. The flow is believed where the mean square of the difference
    is at most a tenth of the variance, beyond noise.

    Args:
        frame: (1, 3, H, W) in [0, 1].
        warped: of the same size.

    Returns:
        (1, 1, H, W) in {0, 1}, float32: 1 for those that match.
    """
    luma, other = _luma(frame), _luma(warped)
    variance = boxed(luma.square()) - boxed(luma).square()
    missed = boxed((luma - other).square())
    return (missed <= MATCH_SHARE * variance + MATCH_NOISE**2).float()


def _luma(image: Tensor) -> Tensor:
    """Returns the luma (1, 1, H, W) of an image."""
    weights = image.new_tensor(LUMA).view(3, 1, 1)
    return (image * weights).sum(dim=1, keepdim=True)


def boxed(values: Tensor) -> Tensor:
    """Returns the means over the boxes around all pixels, less of them at the border."""
    for box in ((1, MATCH_BOX), (MATCH_BOX, 1)):
        margin = (box[0] // 2, box[1] // 2)
        values = F.avg_pool2d(values, box, 1, margin, count_include_pad=False)
    return values


def _squared(vectors: Tensor) -> Tensor:
    return vectors.square().sum(dim=1, keepdim=True)


def _slopes(flow: Tensor) -> Tensor:
    """Returns |∇u|² + |∇v|² by central differences, (1, 1, H, W)."""
    padded = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return _squared(torch.cat([across, down], dim=1))
