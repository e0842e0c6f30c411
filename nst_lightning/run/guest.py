"""Work in a process that is somebody else's."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException


@contextmanager
def on_its_own(device: torch.device) -> Iterator[None]:
    """Shields the block from the caller's modes: gradients that are off, autocast, a default device
    other than the CPU; and gives it back its GPU afterwards."""
    plain = nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")
    gpu = torch.cuda.device(torch.cuda.current_device()) if device.type == "cuda" else nullcontext()
    autocast = torch.autocast(device.type, enabled=False)
    with torch.inference_mode(False), torch.enable_grad(), autocast, plain, gpu:
        yield


@contextmanager
def interruptible() -> Iterator[None]:
    """Lets Ctrl-C out of a fit as the KeyboardInterrupt that it is: Lightning ends the process."""
    try:
        yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        if isinstance(end, SIGTERMException) and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.raise_signal(signal.SIGTERM)  # Lightning held it up until the step was made
        raise
