"""Experiments: many cases over the same pictures, and what they show."""
