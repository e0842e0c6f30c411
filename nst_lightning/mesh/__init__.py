"""Surfaces of meshes, views of them and their files."""
