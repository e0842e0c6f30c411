"""What the benchmark compares with: the PyTorch tutorial's loop, the network with no loss, and our
own losses by autograd.

The loop is written as its users have it: float32 in the default layout through autograd, nothing
shared with the code that is compared.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_lightning.settings import TransferSettings
from nst_lightning.settings.layers import layers_to
from nst_lightning.transfer.objective import TransferLoss
from nst_lightning.vgg.network import VGG, WHOLE, Walk
from nst_lightning.vgg.weights import Weights

Step = Callable[[], Tensor]
"""Makes one evaluation; returns the loss at its start."""


class TutorialLoop:
    """The loop of PyTorch's neural style tutorial, with the layers, weights and losses of settings.

    One `torch.optim.LBFGS` on one image, clamped inside the closure. `max_iter=1` equals the
    tutorial's default of 20 evaluation for evaluation.

    Args:
        weights: of the network.
        settings: layers and weights; content loss mse and Gram divided by positions are assumed.
        content: (1, 3, H, W) in [0, 1].
        style: (1, 3, h, w) in [0, 1].
    """

    def __init__(
        self, weights: Weights, settings: TransferSettings, content: Tensor, style: Tensor
    ) -> None:
        self.settings = settings
        self.layers = build_layers(weights, settings, content.device)
        with torch.no_grad():
            self.content = self.features(content)
            self.style = {name: gram_matrix(f) for name, f in self.features(style).items()}
        self.image = content.clone().requires_grad_(True)
        self.optimizer = torch.optim.LBFGS([self.image], lr=1, max_iter=1)

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """Returns the features of the layers that count."""
        found = {}
        for name, layer in self.layers.items():
            x = layer(x)
            found[name] = x
        return found

    def loss(self) -> Tensor:
        """Returns the weighted total."""
        s, features = self.settings, self.features(self.image)
        total = self.image.new_zeros(())
        for name, weight in s.active_content_layers.items():
            loss = F.mse_loss(features[name], self.content[name])
            total = total + s.content_weight * weight * loss
        for name, weight in s.active_style_layers.items():
            loss = F.mse_loss(gram_matrix(features[name]), self.style[name])
            total = total + s.style_weight * weight * loss
        return total

    def step(self) -> Tensor:
        """Makes one evaluation and one step; returns the loss at its start."""
        seen: list[Tensor] = []

        def closure() -> Tensor:
            with torch.no_grad():
                self.image.clamp_(0, 1)
            self.optimizer.zero_grad()
            loss = self.loss()
            loss.backward()  # type: ignore[no-untyped-call]
            seen.append(loss.detach())
            return loss

        self.optimizer.step(closure)  # type: ignore[no-untyped-call]
        return seen[0]


def gram_matrix(features: Tensor) -> Tensor:
    """Returns the tutorial's Gram matrix, divided by positions."""
    a, b, c, d = features.size()
    flat = features.view(a * b, c * d)
    return torch.mm(flat, flat.t()).div(c * d)


def build_layers(
    weights: Weights, settings: TransferSettings, device: torch.device
) -> dict[str, nn.Module]:
    """Returns the network as separate modules, by layer name, the normalisation first."""
    tensors = {name: tensor.to(device) for name, tensor in weights.tensors.items()}
    layers: dict[str, nn.Module] = {
        "input": Normalization(tensors["input.mean"], tensors["input.std"])
    }
    names = [*settings.active_content_layers, *settings.active_style_layers]
    for name in layers_to(names, settings.network):
        if name.startswith("conv"):
            weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
            conv.weight, conv.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
            layers[name] = conv
        elif name.startswith("relu"):
            layers[name] = nn.ReLU(inplace=False)
        else:
            layers[name] = nn.MaxPool2d(2)
    return layers


class Normalization(nn.Module):
    """The tutorial's normalisation."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.mean, self.std = mean.view(-1, 1, 1), std.view(-1, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Normalises (B, 3, H, W)."""
        return (image - self.mean) / self.std


class AutogradGradient:
    """`value_and_gradient` by autograd, through the same network and the same losses.

    Args:
        network: an extractor of its own, in the precision that it is to run in.
    """

    def __init__(self, network: VGG) -> None:
        self.network = network

    def __call__(
        self,
        network: VGG,
        loss: TransferLoss,
        image: Tensor,
        dtype: torch.dtype,
        walk: Walk = WHOLE,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Returns the terms of images and the gradient of their total, (B, 3, H, W)."""
        with torch.enable_grad():
            leaf = image.detach().requires_grad_(True)
            terms = loss(leaf, self.network(leaf.to(dtype)))
            (gradient,) = torch.autograd.grad(terms["total"].sum(), leaf)
        return {name: value.detach() for name, value in terms.items()}, gradient


def bare_network(
    weights: Weights, settings: TransferSettings, shape: torch.Size, dtype: torch.dtype,
    device: torch.device,
) -> Step:  # fmt: skip
    """Returns the network's forward and backward and nothing else, in channels_last."""
    layers = nn.Sequential(*list(build_layers(weights, settings, device).values())[1:])
    for layer in layers:
        if isinstance(layer, nn.ReLU):
            layer.inplace = True
    layers = layers.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.rand(shape, device=device).to(dtype, memory_format=torch.channels_last)
    x.requires_grad_(True)

    def step() -> Tensor:
        out = layers(x)
        return torch.autograd.grad(out, x, torch.ones_like(out))[0][0, 0, 0, 0]

    return step
