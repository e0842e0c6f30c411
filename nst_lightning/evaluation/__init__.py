"""Quality of results as numbers: how they compare with their contents and with their styles."""
