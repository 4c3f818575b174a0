"""Shipped helpers for tests of smpchat and of programs that use it."""
