"""Helpers for tests of smpchat, and of programs that use it. They are installed with smpchat."""
