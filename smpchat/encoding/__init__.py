"""Bytes and text forms shared by every layer: bounded reader, codecs, base64url and URI queries."""

from smpchat.encoding.reader import DecodeError, EncodeError, Reader

__all__ = ["DecodeError", "EncodeError", "Reader"]
