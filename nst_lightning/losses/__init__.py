"""Losses: one a file, each a module on batches that returns one value per image, (B,)."""
