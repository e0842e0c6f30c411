"""Attacks on the command line, seeded and bounded; docs/reliability.md has what they found."""
