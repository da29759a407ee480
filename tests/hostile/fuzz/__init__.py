"""Mutated requests and formulas, by the hundred thousand. `python -m tests.hostile.fuzz --help` says how."""
