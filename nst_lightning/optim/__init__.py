"""Optimisers on batches of independent images."""
