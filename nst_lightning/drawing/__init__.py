"""Drawings of results: labels, curves, films."""
