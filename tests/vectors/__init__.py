"""Known answers of the reference implementation; `python -m tests.vectors` runs them without a test library."""
