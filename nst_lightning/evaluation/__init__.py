"""Quality of results as numbers: one metric a file, each with one value per image, (B,)."""
