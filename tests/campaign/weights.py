"""Attacks by files of tensors: weights of the user's, and states of images in progress."""

import io
import json
import os
import pickle
import random
import shutil
import struct
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from nst_lightning.settings.layers import channels, conv_indices, conv_names
from tests.campaign.harness import Figures, broken_by, changed_outside, listing, main, nst
from tests.integration import forked
from tests.integration.conftest import ENVIRONMENT

Dice = random.Random

LONGEST_MESSAGE = 2000
STEPS = 200
"""Of an image in progress: enough to be killed amid them."""
KINDS = ("weights", "weights", "state")


class Runs:
    """Makes a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.marker}'",)


def saved(data: Any, *, old: bool = False) -> bytes:
    """Returns what `torch.save` writes."""
    file = io.BytesIO()
    torch.save(data, file, _use_new_zipfile_serialization=not old)
    return file.getvalue()


def network(names: dict[str, str], fill: float = 0.01) -> dict[str, Tensor]:
    """Returns a VGG whose tensors all are one number, which takes no room in a file."""
    one, before, found = torch.tensor([fill]), 3, {}
    for conv, key in names.items():
        found[f"{key}.weight"] = one.expand(channels(conv), before, 3, 3)
        found[f"{key}.bias"] = one.expand(channels(conv))
        before = channels(conv)
    return found


def layout(dice: Dice) -> dict[str, str]:
    """Returns the keys of a network's convolutions, in one of the known layouts."""
    of = dice.choice(["vgg19", "vgg19", "vgg16"])
    if dice.random() < 0.5:
        return {name: name for name in conv_names(of)}
    return {name: f"features.{index}" for name, index in conv_indices(of).items()}


def changed(dice: Dice) -> dict[Any, Any]:
    """Returns a network with one thing about it that is wrong."""
    state: dict[Any, Any] = dict(network(layout(dice)))
    key = dice.choice(list(state))
    bad: list[Any] = [
        state[key][:1], torch.zeros(()), torch.zeros(0), torch.zeros(0, 3, 3, 3),
        torch.zeros(1, 2, 3), torch.tensor([float("nan")]).expand(state[key].shape),
        torch.tensor([float("inf")]).expand(state[key].shape),
        torch.zeros(1, dtype=torch.int64).expand(state[key].shape),
        torch.zeros(1, dtype=torch.complex64).expand(state[key].shape),
        torch.zeros(1, dtype=torch.bfloat16).expand(state[key].shape),
        torch.full((1,), 1e38).expand(state[key].shape),
        torch.zeros(1, dtype=torch.bool).expand(state[key].shape),
        torch.zeros(1, device="meta").expand(state[key].shape), torch.zeros(2, 2).to_sparse(),
        torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8), None, "text", 3, [1], {},
    ]  # fmt: skip
    state[key] = dice.choice(bad)
    if dice.random() < 0.2:
        state |= {
            "0.weight": torch.zeros(dice.choice([(3,), (), (3, 3, 1, 1), (0, 3)])),
            "0.bias": 3,
        }
    if dice.random() < 0.2:
        state |= {"input.mean": dice.choice(bad), "input.std": dice.choice(bad)}
    if dice.random() < 0.2:
        state[dice.choice([3, None, ("a",), "x.running_mean"])] = torch.zeros(1)
    return state


def safe(dice: Dice) -> bytes:
    """Returns a safetensors file with a header that lies."""
    shape = dice.choice([[64, 3, 3, 3], [2**62, 4], [-1], [], [10**30], "x", [2**31, 2**31]])
    ends = dice.choice([[0, 6912], [0, 2**62], [5, 0], [-4, 4], [0], "x", [0, 0]])
    header: Any = {
        "conv1_1.weight": {
            "dtype": dice.choice(["F32", "F64", "Q9"]),
            "shape": shape,
            "data_offsets": ends,
        }
    }
    text = json.dumps(dice.choice([header, {}, [], {"__metadata__": 3}, {"a": 1}])).encode()
    length = dice.choice([len(text), len(text), 2**63, 2**40, 0, 10**8])
    return struct.pack("<Q", length) + text + bytes(dice.choice([0, 6912]))


def bomb(dice: Dice) -> bytes:
    """Returns a zip file that is much larger inside."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("archive/data.pkl", dice.choice([bytes(10**8), b"\x80\x02}q\x00."]))
        pack.writestr("archive/version", bytes(10**7))
        pack.writestr("archive/data/0", bytes(10**8))
    return file.getvalue()


def hostile(dice: Dice, marker: Path) -> bytes:
    """Returns a file that is not what it should be."""
    runs = Runs(marker)
    good = saved(network(layout(dice)), old=dice.random() < 0.5)
    broken = (float("nan"), float("inf"), 0.0, -1e30, 1e38)
    none: list[Any] = [None, 3, [], {}, "x", torch.zeros(3), {"state_dict": {}}, {"state_dict": 3}]
    made: list[Callable[[], bytes]] = [
        lambda: pickle.dumps(runs),
        lambda: pickle.dumps({"conv1_1.weight": runs}, protocol=0),
        lambda: saved({"conv1_1.weight": runs}, old=dice.random() < 0.5),
        lambda: saved({"state_dict": {"a": runs}, "b": network(layout(dice))}),
        lambda: saved(torch.nn.Conv2d(3, 3, 1)),
        lambda: good[: dice.randrange(len(good))],
        lambda: good[: dice.randrange(len(good))] + dice.randbytes(9) + good[-len(good) // 2 :],
        lambda: saved(changed(dice), old=dice.random() < 0.5),
        lambda: saved(changed(dice)),
        lambda: saved({"state_dict": changed(dice)}),
        lambda: saved(network(layout(dice), dice.choice(broken))),
        lambda: saved(dice.choice(none)),
        lambda: safe(dice),
        lambda: safe(dice),
        lambda: bomb(dice),
        lambda: b"",
        lambda: dice.randbytes(dice.choice([1, 8, 9, 5000])),
        lambda: b"PK\x03\x04" + dice.randbytes(50),
    ]
    return dice.choice(made)()


def put_inputs(folder: Path) -> list[object]:
    """Makes the inputs of a grid, and returns its command."""
    for name, colour in (("c", "teal"), ("s", "tan")):
        Image.new("RGB", (16, 16), colour).save(folder / f"{name}.png")
    return grid_of(folder)


def grid_of(folder: Path) -> list[object]:
    """Returns the command of a grid up to the number of its steps."""
    return [
        "grid", folder / "c.png", folder / "s.png", "--out", folder / "out", "--size", 16,
        "--checkpoint-every", 0.01, "--steps",
    ]  # fmt: skip


@cache
def killed() -> Path:
    """Returns a folder with a grid that was killed when it had saved a state, made once."""
    folder = Path(tempfile.mkdtemp(prefix="nst-campaign-killed-"))
    words = [*map(str, put_inputs(folder)), str(STEPS), "--weights", "random"]
    log = folder / "log"
    log.mkdir()
    process = forked.start(words, ENVIRONMENT, log)
    end = time.monotonic() + 300
    while not list(folder.glob("out/.nst/checkpoints/*/state.ckpt")) and time.monotonic() < end:
        time.sleep(0.01)
    process.kill()
    process.join()
    return folder


def wrong_state(dice: Dice, data: bytes) -> bytes:
    """Returns a state in which something is gone, of another shape or not a number."""
    state = torch.load(io.BytesIO(data), weights_only=True)
    place = state
    while isinstance(place, dict) and place:
        key = dice.choice(list(place))
        if not isinstance(place[key], dict) or not place[key] or dice.random() < 0.2:
            place[key] = dice.choice(
                [None, {}, [], torch.zeros(0), torch.zeros(7, 7), float("nan"), -1, "x"]
            )
            if dice.random() < 0.4:
                del place[key]
            break
        place = place[key]
    return saved(state)


def of_weights(dice: Dice, folder: Path, marker: Path) -> list[str]:
    """Runs commands with a hostile weights file."""
    file = folder / f"weights{dice.choice(['.pth', '.pt', '.safetensors', '.PTH'])}"
    file.write_bytes(hostile(dice, marker))
    grid = [*put_inputs(folder), 1, "--weights", file]
    more = dice.choice(
        [[], ["--weights-input", "imagenet"], ["--network", "vgg16"], ["--pooling", "avg"]]
    )
    export = ["weights", "export", folder / "out" / "x.safetensors", "--source", file]
    words = [*grid, *more] if dice.random() < 0.8 else export
    done = nst(*words, seconds=60)
    broken = broken_by(done)
    if done.returncode == 2 and len(done.stderr.strip().splitlines()) != 1:
        broken.append(f"not one line: {done.stderr[:1000]}")
    if len(done.stderr) > LONGEST_MESSAGE:
        broken.append(f"a message of {len(done.stderr)} characters: {done.stderr[:500]}")
    return broken


def of_state(dice: Dice, folder: Path, marker: Path) -> list[str]:
    """Goes on with an image whose saved state is hostile."""
    shutil.copytree(killed(), folder, dirs_exist_ok=True)
    (state,) = folder.glob("out/.nst/checkpoints/*/state.ckpt")
    good = state.read_bytes()
    damaged = bytearray(good)
    damaged[dice.randrange(len(good))] ^= 1 << dice.randrange(8)
    state.write_bytes(
        dice.choice(
            [
                hostile(dice, marker),
                bytes(damaged),
                wrong_state(dice, good),
                wrong_state(dice, good),
            ]
        )
    )
    before = listing(folder, but=folder / "out")
    done = nst(*grid_of(folder), STEPS, "--weights", "random", seconds=60)
    broken = broken_by(done, (0,))
    broken += changed_outside(before, listing(folder, but=folder / "out"))
    try:
        Image.open(folder / "out" / "c" / "s.png").load()
    except OSError as error:
        broken.append(f"no image is made: {error}: {done.stderr}")
    return broken


def attempt(rng: Dice, folder: Path, figures: Figures) -> list[str]:
    """Gives a command a hostile file of tensors; no code in it may run."""
    marker = folder / "ran"
    kind = rng.choice(KINDS)
    figures[kind] += 1
    broken = (of_weights if kind == "weights" else of_state)(rng, folder, marker)
    return [*broken, "code in the file was run"] if marker.exists() else broken


if __name__ == "__main__":
    main(attempt, "Weights files and saved states that are hostile.")
