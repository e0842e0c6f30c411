"""A frozen convolution made ready for one device and precision."""

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.vgg.onednn import served_by_onednn

STRIDE = DILATION = [1, 1]
BORDER = [1, 1, 1, 1]


class FrozenConvolution:
    """3×3 convolution with a border of 1 whose weights never change, with its backward pass.

    On a CPU that oneDNN serves, the weights are brought into oneDNN's own layout once for each
    shape of features instead of in every call, and the ReLU is fused (measured at 128 px: 14 % of a
    step; the same numbers). On CUDA the ReLU is fused by cuDNN.

    Args:
        weight: (out, in, 3, 3), already in the precision and on the device of the images.
        bias: (out,).
        padding: what the border is: `zero`, `replicate` or `reflect`.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, padding: str = "zero") -> None:
        self.bias = bias
        self.padding = padding
        # A convolution makes a border of zeros itself, both ways. Any other is put around its input
        # before, and the gradient to that is one pixel larger on each side than the output's.
        self.before, self.after = (1, 1) if padding == "zero" else (0, 2)
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        # The gradient to the input of this convolution is a convolution of the same kind, with the
        # kernel turned by half a turn and its channels exchanged.
        turned = weight.flip(2, 3).transpose(0, 1)
        self.weight_back = turned.contiguous(memory_format=torch.channels_last)
        self.fused = served_by_onednn(weight)
        self.packed: dict[str, tuple[torch.Size, Tensor]] = {}

    def forward(self, x: Tensor, relu: bool) -> Tensor:
        """Convolves (B, in, H, W) to (B, out, H, W), and applies the ReLU where asked."""
        if self.padding != "zero":
            x = F.pad(x, BORDER, self.padding)
        if self.packs():
            weight = self._pack("forward", self.weight, x, self.before)
            return self._onednn(x, weight, self.bias, self.before, "relu" if relu else "none")
        if relu and served_by_cudnn(x, self.weight):
            border = [self.before, self.before]
            return torch.cudnn_convolution_relu(
                x, self.weight, self.bias, STRIDE, border, DILATION, 1
            )
        x = F.conv2d(x, self.weight, self.bias, padding=self.before)
        return F.relu_(x) if relu else x

    def backward(self, gradient: Tensor) -> Tensor:
        """Turns the gradient to the output (B, out, H, W) into that to the input (B, in, H, W)."""
        if self.packs():
            weight = self._pack("backward", self.weight_back, gradient, self.after)
            found = self._onednn(gradient, weight, None, self.after, "none")
        else:
            found = F.conv2d(gradient, self.weight_back, padding=self.after)
        return found if self.padding == "zero" else without_border(found, self.padding)

    def packs(self) -> bool:
        """Whether oneDNN is asked directly; torch.compile has a way of its own."""
        return self.fused and not torch.compiler.is_compiling()

    def _pack(self, way: str, weight: Tensor, x: Tensor, border: int) -> Tensor:
        """Returns the weight in oneDNN's layout for features of this shape; the last is kept.

        A layout for any shape is up to 25 times slower on some (measured: 512 channels, AVX2).
        """
        if way not in self.packed or self.packed[way][0] != x.shape:
            packed = torch.ops.mkldnn._reorder_convolution_weight(
                weight, [border, border], STRIDE, DILATION, 1, list(x.shape)
            )
            self.packed[way] = x.shape, packed
        return self.packed[way][1]

    def _onednn(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, border: int, after: str
    ) -> Tensor:
        output: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, weight, bias, [border, border], STRIDE, DILATION, 1, after, [], ""
        )
        return output


def served_by_cudnn(x: Tensor, weight: Tensor) -> bool:
    """Tells whether cuDNN makes convolution, bias and ReLU at once.

    Otherwise PyTorch makes three kernels of them (on an H100 with 64 channels of 512 px, 16 images
    in bfloat16: 1.79 ms against 0.66), and splits features of more than 2³¹ numbers by itself.
    """
    known = x.dtype in (torch.float32, torch.float16, torch.bfloat16)
    numbers = x.numel() // x.shape[1] * max(weight.shape[:2])
    here = x.device.type == "cuda" and torch.version.cuda is not None  # and not a GPU of AMD's
    asked = torch.backends.cudnn.enabled and not torch.compiler.is_compiling()
    return known and here and asked and numbers < 2**31


def without_border(gradient: Tensor, padding: str) -> Tensor:
    """Turns the gradient to a tensor with a border (B, C, H + 2, W + 2) into that to the tensor.

    PyTorch's own is not deterministic on a GPU.
    """
    for dim in (2, 3):
        side = gradient.shape[dim] - 2
        inner = gradient.narrow(dim, 1, side).clone(memory_format=torch.channels_last)
        at = 1 if padding == "reflect" else 0
        inner.narrow(dim, at, 1).add_(gradient.narrow(dim, 0, 1))
        inner.narrow(dim, side - 1 - at, 1).add_(gradient.narrow(dim, side + 1, 1))
        gradient = inner
    return gradient
