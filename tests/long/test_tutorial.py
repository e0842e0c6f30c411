"""The tutorial's problem, solved by the tutorial's own loop and by ours."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning import StyleTransfer, TransferSettings, load_image
from nst_lightning.optim.lbfgs import BatchedLBFGS
from nst_lightning.vgg.weights import load_weights
from tests.fitting import fit
from tests.integration.conftest import EXAMPLES

CHECKSUM = "936c2d12aedffd5922304e75b7ac99c641d4b19c96f9d33b31c5bc5807ab3f54"
STEPS = 150


def literal_features(image: Tensor, tensors: dict[str, Tensor]) -> list[Tensor]:
    """conv1_1, conv1_2, conv2_1, conv2_2, conv3_1 before their ReLU, step by step."""
    mean, std = (tensors[f"input.{name}"].view(1, 3, 1, 1) for name in ("mean", "std"))
    x = (image - mean) / std
    taps = []
    for name in ("conv1_1", "conv1_2", "pool", "conv2_1", "conv2_2", "pool", "conv3_1"):
        if name == "pool":
            x = F.max_pool2d(x, 2)
            continue
        x = F.conv2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], padding=1)
        taps.append(x)
        x = F.relu(x)
    return taps


def literal_gram(x: Tensor) -> Tensor:
    a, b, c, d = x.size()
    features = x.reshape(a * b, c * d)
    return torch.mm(features, features.t()).div(a * b * c * d)


def literal_objective(
    content: Tensor, style: Tensor, tensors: dict[str, Tensor]
) -> Callable[[Tensor], Tensor]:
    with torch.no_grad():
        content_target = literal_features(content, tensors)[3]
        style_targets = [literal_gram(f) for f in literal_features(style, tensors)]

    def loss(image: Tensor) -> Tensor:
        features = literal_features(image, tensors)
        value = F.mse_loss(features[3], content_target)
        for feature, target in zip(features, style_targets, strict=True):
            value = value + 1e6 * F.mse_loss(literal_gram(feature), target)
        return value

    return loss


def literal_loop(
    objective: Callable[[Tensor], Tensor], start: Tensor, steps: int, clamped: bool
) -> tuple[Tensor, list[float]]:
    """The image and the loss of each evaluation."""
    image = start.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS([image], lr=1, history_size=100, max_iter=1)
    course = []
    for _ in range(steps):

        def closure() -> Tensor:
            if clamped:
                with torch.no_grad():
                    image.clamp_(0, 1)
            optimizer.zero_grad()
            loss = objective(image)
            loss.backward()
            course.append(loss.item())
            return loss

        optimizer.step(closure)
    return image.detach(), course


def test_without_bounds_each_step_is_that_of_the_literal_loop():
    """In float64: rounding doubles every few steps, until two equal loops end far apart."""
    weights = load_weights("normalized")
    assert weights.checksum == CHECKSUM
    tensors = {name: tensor.double() for name, tensor in weights.tensors.items()}
    content = load_image(EXAMPLES / "contents" / "chelsea.jpg", 96).double()
    style = load_image(EXAMPLES / "styles" / "pointillism.jpg", 96).double()
    objective = literal_objective(content, style, tensors)
    _, theirs = literal_loop(objective, content, 50, clamped=False)

    image = torch.nn.Parameter(content.clone())
    optimizer = BatchedLBFGS([image], memory=100, first_step=None)
    ours = []
    for _ in range(50):
        optimizer.zero_grad()
        loss = objective(image)
        loss.backward()
        ours.append(loss.item())
        optimizer.step()
    assert theirs[-1] < 0.05 * theirs[0]
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_the_final_loss_is_at_most_that_of_the_tutorial():
    weights = load_weights("normalized")
    assert weights.checksum == CHECKSUM
    content = load_image(EXAMPLES / "contents" / "chelsea.jpg", 256)
    style = load_image(EXAMPLES / "styles" / "pointillism.jpg", 256)
    objective = literal_objective(content, style, weights.tensors)
    image, course = literal_loop(objective, content, STEPS, clamped=True)
    assert len(course) == STEPS

    settings = TransferSettings(
        size=256,
        steps=STEPS,
        content_layers="conv_4",
        style_layers="conv_1,conv_2,conv_3,conv_4,conv_5",
        gram="tutorial",
        style_weight=1e6,
        lbfgs_memory=100,
    )
    model = StyleTransfer.from_images(content, style, settings)
    fit(model)
    with torch.no_grad():
        theirs = float(objective(image.clamp(0, 1)))
        ours = float(objective(model.image.detach()))
    assert float(model.evaluate(model.image)["total"].detach()) == pytest.approx(ours, rel=1e-4)
    assert course[0] > 10 * theirs  # the loop really optimised
    print(f"literal {theirs:.6g}, ours {ours:.6g}")
    assert ours <= theirs * 1.01
