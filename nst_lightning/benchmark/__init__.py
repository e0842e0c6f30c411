"""How fast it is, against what else there is, in one run."""
