"""Experiments: many cases over the same images, and what they show."""
