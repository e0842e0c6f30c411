"""Presets read by name in the library."""

import pytest

from nst_lightning.errors import UserError
from nst_lightning.settings import BatchSettings, TransferSettings, build
from nst_lightning.settings.presets import preset_texts, read_preset, sweep_file


@pytest.mark.parametrize("name", preset_texts())
def test_every_preset(name: str):
    batch = BatchSettings.from_preset(name)
    assert type(batch) is BatchSettings
    assert batch == build(read_preset(name))
    transfer = TransferSettings.from_preset(name)
    assert type(transfer) is TransferSettings
    expected = batch.model_dump(include=set(TransferSettings.model_fields), exclude={"scales"})
    assert transfer.model_dump(exclude={"scales"}) == expected
    if "scales" in read_preset(name):  # else it is one scale in the library
        assert transfer.scales == batch.scales


def test_settings_by_name_win():
    code = TransferSettings.from_preset("gatys-code", size=256, steps=9, seed=3)
    assert [(scale.size, scale.steps) for scale in code.scales] == [(256, 9)]
    assert (code.seed, code.pooling, code.bounds) == (3, "max", False)
    assert TransferSettings.from_preset("gatys-code", scales="64:3").total_steps == 3
    assert BatchSettings.from_preset("seed-001", save_every=7).save_every == 7


@pytest.mark.parametrize(
    ("model", "name", "settings", "sentence"),
    [
        (TransferSettings, "gatys", {}, "no preset 'gatys': did you mean 'gatys-"),
        (TransferSettings, "default", {"stile_weight": 1}, "did you mean 'style_weight'"),
        (TransferSettings, "default", {"batch_size": 1}, "no setting 'batch_size'"),
        (BatchSettings, "default", {"formt": "png"}, "did you mean 'format'"),
        (TransferSettings, "default", {"size": 0}, "size should be the longest side"),
    ],
)
def test_one_sentence(
    model: type[TransferSettings], name: str, settings: dict[str, object], sentence: str
):
    with pytest.raises(UserError, match=sentence):
        model.from_preset(name, **settings)


def test_sweeps_by_name():
    assert sweep_file("seed-004").name == "seed-004.yaml"
    with pytest.raises(UserError, match="did you mean 'seed-004'"):
        sweep_file("seed-04")
