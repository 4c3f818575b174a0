"""Encodings that every layer uses: a bounded reader, codecs, base64url, JSON, and queries of URIs."""

from smpchat.encoding.reader import DecodeError, EncodeError, Reader

__all__ = ["DecodeError", "EncodeError", "Reader"]
