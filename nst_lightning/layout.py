"""The name of every file and folder that an output folder may hold, once."""

from pathlib import Path

MANIFEST = "manifest.jsonl"
STATE = Path(".nst")
"""Folder in an output folder of what is there for a run's own use."""
