"""What TensorBoard itself reads in event files."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import IMAGES, EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams.metadata import (
    EXPERIMENT_TAG,
    SESSION_START_INFO_TAG,
    parse_experiment_plugin_data,
    parse_session_start_info_plugin_data,
)

Table = dict[int, dict[str, float]]


def read_runs(out: Path) -> dict[str, EventAccumulator]:
    """The runs that `tensorboard --logdir OUT` shows, by name, with all their images."""
    runs = EventMultiplexer(size_guidance={IMAGES: 0}).AddRunsFromDirectory(str(out))
    runs.Reload()
    return {name: runs.GetAccumulator(name) for name in runs.Runs()}


def scalars(run: EventAccumulator) -> Table:
    """Step → tag → value, each tag at each step once."""
    found: Table = {}
    for tag in run.Tags()["scalars"]:
        for event in run.Scalars(tag):
            assert tag not in found.setdefault(event.step, {})
            found[event.step][tag] = event.value
    return found


def images(run: EventAccumulator, tag: str = "image") -> dict[int, np.ndarray]:
    """Step → pixels."""
    found = run.Images(tag)
    assert len({one.step for one in found}) == len(found)
    return {one.step: np.asarray(Image.open(io.BytesIO(one.encoded_image_string))) for one in found}


def hyperparams(run: EventAccumulator) -> tuple[dict[str, Any], list[str]]:
    """The hyperparameters of a run, by name, and the tags that are its metrics."""

    def content(tag: str) -> Any:
        return run.SummaryMetadata(tag).plugin_data.content

    session = parse_session_start_info_plugin_data(content(SESSION_START_INFO_TAG))
    experiment = parse_experiment_plugin_data(content(EXPERIMENT_TAG))
    values = {name: getattr(v, v.WhichOneof("kind")) for name, v in session.hparams.items()}
    return values, [info.name.tag for info in experiment.metric_infos]
