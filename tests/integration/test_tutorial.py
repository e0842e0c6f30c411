"""The tutorial's problem, solved by the tutorial's own loop and by ours."""

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning import StyleTransfer, TransferSettings, load_image
from nst_lightning.vgg.weights import load_weights

from .conftest import EXAMPLES

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


def test_the_final_loss_is_that_of_a_literal_torch_lbfgs_loop():
    weights = load_weights("normalized")
    assert weights.checksum == CHECKSUM
    content = load_image(EXAMPLES / "contents" / "chelsea.jpg", 256)
    style = load_image(EXAMPLES / "styles" / "pointillism.jpg", 256)

    with torch.no_grad():
        content_target = literal_features(content, weights.tensors)[3]
        style_targets = [literal_gram(f) for f in literal_features(style, weights.tensors)]

    def literal_loss(image: Tensor) -> Tensor:
        features = literal_features(image, weights.tensors)
        loss = F.mse_loss(features[3], content_target)
        for feature, target in zip(features, style_targets, strict=True):
            loss = loss + 1e6 * F.mse_loss(literal_gram(feature), target)
        return loss

    image = content.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS([image], lr=1, history_size=100, max_iter=1)
    course = []
    for _ in range(STEPS):

        def closure() -> Tensor:
            with torch.no_grad():
                image.clamp_(0, 1)
            optimizer.zero_grad()
            loss = literal_loss(image)
            loss.backward()
            course.append(float(loss))
            return loss

        optimizer.step(closure)
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
    model = StyleTransfer(content, style, settings)
    L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(model)
    with torch.no_grad():
        theirs = float(literal_loss(image.detach().clamp(0, 1)))
        ours = float(literal_loss(model.image.detach()))
    assert float(model.evaluate(model.image)["total"].detach()) == pytest.approx(ours, rel=1e-4)
    assert course[0] > 10 * theirs  # the loop really optimised
    print(f"literal {theirs:.6g}, ours {ours:.6g}")
    assert ours <= theirs * 1.01
