"""A logger for each image of a batch, in true fits."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import Logger

from nst_lightning import StyleTransfer, TransferSettings
from nst_lightning.callbacks.history import History
from nst_lightning.callbacks.image_loggers import ImageLoggers
from nst_lightning.run.checkpoints import sliced
from tests.fitting import fit


class Remembering(Logger):
    """A logger like those of others, which knows nothing but Lightning's own methods."""

    name, version = "remembering", 0

    def __init__(self) -> None:
        self.entries: dict[int, dict[str, float]] = {}
        self.said: list[Any] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert step is not None
        assert step not in self.entries
        self.entries[step] = metrics

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.said.append(params)

    def finalize(self, status: str) -> None:
        self.said.append(status)


def model(steps: int, size: int, batch: int = 2) -> StyleTransfer:
    generator = torch.Generator().manual_seed(steps)
    content, style = (torch.rand(batch, 3, size - 4, size, generator=generator) for _ in range(2))
    settings = TransferSettings(
        steps=steps, weights="random", content_layers="relu2_1", style_layers="relu1_1"
    )
    return StyleTransfer.from_images(content, style, settings)


def image_loggers(
    loggers: Sequence[Logger], every: int = 3, offset: Callable[[], int] = lambda: 0, **rest: Any
) -> ImageLoggers:
    params = [{"content_name": str(i)} for i in range(len(loggers))]
    return ImageLoggers(lambda after: loggers, params, every, offset, **rest)


LOSSES = {name: [1.0, 2.0] for name in ("total", "content", "style", "tv")}


def test_each_image_has_its_own_losses_of_all_scales():
    mine, earlier, history = [Remembering(), Remembering()], 0, History()
    loggers = image_loggers(mine, offset=lambda: earlier)
    for steps, size in ((4, 24), (5, 32)):
        fit(model(steps, size), callbacks=[history, loggers])
        earlier += steps
    loggers.finish(LOSSES)
    loggers.close()
    for i, logger in enumerate(mine):
        rows = {row["step"]: row for row in history.of(i)}
        assert list(logger.entries) == [1, 3, 6, 9, 10]
        for step in (1, 3, 6, 9):
            entry = logger.entries[step]
            assert entry.pop("size") == (24 if step <= 4 else 32)
            assert entry == {name: rows[step][name] for name in LOSSES}
        assert logger.entries[10] == dict.fromkeys(LOSSES, 1.0 + i) | {"size": 32}
        assert logger.said == [{"content_name": str(i)}, "success"]
    assert mine[0].entries != mine[1].entries


def test_nothing_is_written_before_it_is_its_turn():
    (logger,), waiting = loggers = [Remembering()], list[Callable[[], None]]()
    callback = image_loggers(loggers[0], every=1, submit=waiting.append)
    fit(model(3, 24, batch=1), callbacks=[callback])
    assert logger.entries == {}
    for work in waiting:
        work()
    assert list(logger.entries) == [1, 2, 3]


def test_what_a_logger_raises_costs_the_fit_nothing():
    class Full(Remembering):
        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
            if step == 3:
                raise ValueError("you tried to log") from OSError(28, "No space left on device")
            super().log_metrics(metrics, step)

    loggers, errors = [Remembering(), Full()], list[Exception]()
    callback = image_loggers(loggers, failed=errors.append)
    made = model(7, 24)
    fit(made, callbacks=[callback])
    callback.finish(LOSSES)
    assert float(made.failed_at.sum()) == 0
    assert [str(error) for error in errors] == ["[Errno 28] No space left on device"]
    assert [list(logger.entries) for logger in loggers] == [[1, 3], [1]]
    assert [logger.said[1:] for logger in loggers] == [["failed"], ["failed"]]


def test_an_image_goes_on_without_the_others():
    loggers = [Remembering(), Remembering()]
    callback = image_loggers(loggers)
    assert callback.state_dict() == {}
    fit(model(7, 24), callbacks=[callback])
    state: Any = {"callbacks": {"ImageLoggers": callback.state_dict()}, "state_dict": {}}
    state |= {"optimizer_states": [], "images": {}, "run": {}}
    alone = image_loggers([Remembering()])
    alone.load_state_dict(sliced(state, [1])["callbacks"]["ImageLoggers"])
    assert alone.steps == [1, 3, 6]
    kept = torch.cat(alone.values)[:, 0].tolist()
    assert kept == pytest.approx([entry["total"] for entry in loggers[1].entries.values()])
