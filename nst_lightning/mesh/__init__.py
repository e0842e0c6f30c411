"""Meshes: their surfaces, views and files."""
