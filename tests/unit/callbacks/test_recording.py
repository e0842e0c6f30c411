"""Callbacks that record: history and film, in a true fit over two scales."""

import lightning as L
import pytest
import torch

from nst_lightning import StyleTransfer, TransferSettings
from nst_lightning.callbacks.film import Film
from nst_lightning.callbacks.history import History
from nst_lightning.callbacks.snapshots import Snapshots
from tests.fitting import fit


def fit_random(steps: int, callbacks: list[L.Callback], batch: int = 2) -> StyleTransfer:
    generator = torch.Generator().manual_seed(steps)
    content, style = (torch.rand(batch, 3, 24, 28, generator=generator) for _ in range(2))
    settings = TransferSettings(
        steps=steps, weights="random", content_layers="relu2_1", style_layers="relu1_1"
    )
    model = StyleTransfer.from_images(content, style, settings)
    fit(model, callbacks=callbacks)
    return model


def test_a_history_goes_on_over_scales():
    history = History()
    fit_random(4, [history])
    model = fit_random(3, [history])
    for b in range(2):
        rows = history.of(b)
        assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
        assert rows[-1]["total"] == pytest.approx(float(model.losses["total"][b]))
        assert rows[-1]["total"] == pytest.approx(rows[-1]["content"] + rows[-1]["style"])
        seconds = [row["seconds"] for row in rows]
        assert seconds == sorted(seconds)
    assert history.of(0) != history.of(1)
    assert History().of(0) == []


def test_a_film_ends_with_the_image():
    film = Film({1, 4, 6})
    fit_random(4, [film])
    model = fit_random(2, [film])
    frames = film.of(1)
    assert len(frames) == 3
    last = (model.image[1].detach() * 255).round()
    assert torch.equal(frames[-1].float(), last)
    assert not torch.equal(frames[0], frames[1])


def test_when_a_snapshot_is_due():
    due = Snapshots([], every=10, first=2, at=[5, 7]).due
    assert [step for step in range(1, 22) if due(step)] == [1, 2, 5, 7, 10, 20]
