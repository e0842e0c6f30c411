"""Films as contents: their files, shots and motion."""
