"""Every knob of the project, once: name, type, bounds, default, description.

The command line's options and help, the YAML files and the manifest are derived from these models.
Imports no torch, so that bad usage fails before anything slow.
"""

from nst_lightning.settings.batch import BatchSettings, build
from nst_lightning.settings.knob import Knob, knob_of
from nst_lightning.settings.sizes import SMALLEST_START, Pass, Scale, parse_scales
from nst_lightning.settings.text import dump_yaml, finite, merge, read_yaml
from nst_lightning.settings.transfer import TransferSettings

__all__ = [
    "SMALLEST_START",
    "BatchSettings",
    "Knob",
    "Pass",
    "Scale",
    "TransferSettings",
    "build",
    "dump_yaml",
    "finite",
    "knob_of",
    "merge",
    "parse_scales",
    "read_yaml",
]
