"""Continuous fuzzing: `python -m tests.fuzz`.

Every decoder, and the whole receiver with content mutated inside real boxes and ratchets. What is found is written to a
file; such files in `tests/fuzz/cases` are run by the suite.
"""
