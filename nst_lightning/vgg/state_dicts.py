"""Layouts of VGG state dicts, each brought to one form: `conv1_1.weight` … plus `input.mean/std`.

Three layouts are known: block_index names (our own export, which says what the network is fed, and
Gatys' `vgg_conv.pth`, which does not), torchvision's (`features.N.weight`, with or without
classifier) and the Sequential of the normalised VGG (`0.weight` is a 1x1 convolution from RGB in
[0, 1] to what the network was trained on).
"""

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.settings.layers import BLOCKS, channels, conv_indices, conv_names

SUFFIXES = (".safetensors", ".pth", ".pt")


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """Computes the sha256 over names, shapes and float32 bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous().numpy().astype("<f4", copy=False)
        digest.update(f"{name} {tuple(values.shape)}\n".encode())
        digest.update(values.data)
    return digest.hexdigest()


def sequential_indices(network: str) -> dict[str, int]:
    """Returns the position of each convolution in the normalised VGG's Sequential, by name.

    It begins with the 1x1 convolution; each convolution has a padding before it and a ReLU after
    it, each block ends with a pooling.
    """
    indices: dict[str, int] = {}
    position = 1
    for block, count in enumerate(BLOCKS[network], 1):
        for i in range(1, count + 1):
            indices[f"conv{block}_{i}"] = position + 1
            position += 3
        position += 1
    return indices


def read_state(path: Path) -> dict[str, Tensor]:
    """Reads the tensors of a `.safetensors`, `.pth` or `.pt` file; no code in it is ever run.

    Raises:
        UserError: no such file, another kind of file, damaged, or more in it than tensors.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path} is not a weights file: name one that ends in {_any_of(SUFFIXES)}.")
    if path.exists() and not path.is_file():
        raise UserError(f"the weights file {path} is a folder, a pipe or a device: name a file.")
    try:
        path.open("rb").close()  # apart: torch.load raises OSError for truncated files, too
    except FileNotFoundError:
        raise UserError(f"there is no weights file {path}: check the path.") from None
    except OSError as error:
        raise UserError(
            f"the weights file {path} cannot be read ({error.strerror or error}): name a file "
            "that can."
        ) from error
    try:
        if path.suffix.lower() == ".safetensors":
            state = safetensors.torch.load(path.read_bytes())
        else:
            state = load_tensors(path)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is damaged or holds more than tensors, such as code, which is never run: "
            "save its state dict alone, best as .safetensors."
        ) from error
    except Exception as error:
        # Anything at all may stand in the file, and torch.load and safetensors raise anything.
        raise UserError(
            f"{path} is not a weights file or is damaged: name a state dict saved as "
            ".safetensors, .pth or .pt."
        ) from error
    return _tensors(state, path)


def load_tensors(path: Path) -> Any:
    """Returns what torch has saved in a file, on the CPU; no code in it is ever run.

    Raises:
        Exception: of any type, where it is no such file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a damaged file torch may warn, before it raises
        return torch.load(path, map_location="cpu", weights_only=True)


def _tensors(state: Any, path: Path) -> dict[str, Tensor]:
    """Finds a state dict's tensors, also where training code has wrapped it."""
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping):
        raise UserError(f"{path} holds no state dict: save the network's `state_dict()` there.")
    found = {str(k).removeprefix("module."): v for k, v in state.items() if isinstance(v, Tensor)}
    if "0.weight" in found and found["0.weight"].shape[-1:] == (3,):  # a bare `features`
        found = {f"features.{k}": v for k, v in found.items()}
    return found


def canonical_tensors(
    state: Mapping[str, Tensor], network: str, name: str | Path
) -> dict[str, Tensor]:
    """Brings a network's tensors to our form: convolutions in order, then `input.mean` and
    `input.std` where the file has them (for the others see `file_input`).

    Args:
        state: tensors in one of the layouts above, of any floating type.
        network: `vgg19` or `vgg16`.
        name: what to call the file in an error.

    Returns:
        float32 tensors on the CPU: weights (O, I, 3, 3), biases (O,), mean and std (3,). The
        network is to see (x - mean) / std for RGB x in [0, 1].

    Raises:
        UserError: another layout, convolutions missing, wrong shapes or values.
    """
    if "conv1_1.weight" in state:
        layout = {n: {conv: conv for conv in conv_names(n)} for n in BLOCKS}
    elif "features.0.weight" in state:
        layout = {n: {c: f"features.{i}" for c, i in conv_indices(n).items()} for n in BLOCKS}
    elif "0.weight" in state:
        layout = {n: {c: str(i) for c, i in sequential_indices(n).items()} for n in BLOCKS}
    else:
        raise UserError(
            f"{name} holds no VGG in a known layout: its keys must be conv1_1.weight …, "
            "features.0.weight … or those of the normalised VGG-19."
        )
    _check_complete(state, layout, network, name)
    tensors: dict[str, Tensor] = {}
    before = 3
    for conv, key in layout[network].items():
        width = channels(conv)
        tensors[f"{conv}.weight"] = _tensor(state, f"{key}.weight", (width, before, 3, 3), name)
        tensors[f"{conv}.bias"] = _tensor(state, f"{key}.bias", (width,), name)
        before = width
    if "0.weight" in state:
        tensors |= _fold_input(state, tensors["conv1_1.weight"], name)
    elif "input.mean" in state and "input.std" in state:
        tensors["input.mean"] = _tensor(state, "input.mean", (3,), name)
        tensors["input.std"] = _tensor(state, "input.std", (3,), name)
    if "input.std" in tensors and not bool((tensors["input.std"] > 0).all()):
        raise UserError(f"{name} has an input.std that is not above 0: export it anew.")
    return tensors


def _check_complete(
    state: Mapping[str, Tensor],
    layout: Mapping[str, Mapping[str, str]],
    network: str,
    name: str | Path,
) -> None:
    """Checks that all convolutions of this network are there, and not another network's."""

    def missing(of: str) -> list[str]:
        keys = layout[of].items()
        return [c for c, k in keys if f"{k}.weight" not in state or f"{k}.bias" not in state]

    if any(key.endswith("running_mean") for key in state):
        raise UserError(f"{name} is a VGG with batch normalisation: name one without.")
    whole = [n for n in BLOCKS if not missing(n)]
    # In block_index names a VGG-19 holds a VGG-16's names, but is another network.
    found = max(whole, key=lambda n: len(layout[n]), default=None)
    if found is not None and found != network:
        raise UserError(f"{name} is a {found}, not a {network}: use --network {found}.")
    if found is None:
        lacking = ", ".join(missing(network))
        raise UserError(f"{name} lacks {lacking} of {network}: name a file with all convolutions.")


def _tensor(
    state: Mapping[str, Tensor], key: str, shape: tuple[int, ...], name: str | Path
) -> Tensor:
    tensor = state[key]
    if tuple(tensor.shape) != shape:
        raise UserError(
            f"{key} in {name} has the shape {tuple(tensor.shape)} where a VGG has {shape}: name "
            "the weights of a plain VGG."
        )
    if not tensor.is_floating_point() or not bool(torch.isfinite(tensor.float()).all()):
        raise UserError(f"{key} in {name} holds values that are no finite numbers: pull it anew.")
    # A copy of its own, so that nothing keeps the classifier's 400 MB alive.
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()


def _fold_input(state: Mapping[str, Tensor], first: Tensor, name: str | Path) -> dict[str, Tensor]:
    """Turns the 1x1 convolution into an input normalisation, and conv1_1 to colours in RGB order.

    The 1x1 convolution reorders the colours, scales and shifts them: y_i = a_i·x_p(i) + b_i. So
    y_i = (x_p(i) - mean_p(i)) / std_p(i) with mean = -b / a and std = 1 / a; conv1_1's input
    channels are put in x's order. The zero padding of conv1_1 comes after the shift in both, so
    that borders agree too.
    """
    matrix = _tensor(state, "0.weight", (3, 3, 1, 1), name)[:, :, 0, 0].double()
    shift = _tensor(state, "0.bias", (3,), name).double()
    used = matrix != 0
    if not (bool((used.sum(0) == 1).all()) and bool((used.sum(1) == 1).all())):
        raise UserError(
            f"the first convolution in {name} mixes colours: name a file whose first convolution "
            "only reorders and scales them."
        )
    output = used.int().argmax(0)  # for each input colour, the channel it becomes
    scale = matrix[output, torch.arange(3)]
    return {
        "conv1_1.weight": first[:, output].contiguous(),
        "input.mean": (-shift[output] / scale).float(),
        "input.std": (1 / scale).float(),
    }


def _any_of(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
