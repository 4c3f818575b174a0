"""Helpers for tests of smpchat, and of programs that use smpchat. The helpers are installed with smpchat."""
