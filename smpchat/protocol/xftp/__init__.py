"""XFTP, versions 1 to 3, as bytes in and values out, for both sides (xftp-wire 1.3 and 2): no sockets, no clock.

A request or answer is an HTTP/2 body: one block of 16,384 bytes with exactly one transmission, followed by the bytes of
a chunk for FPUT and FILE. Errors are those of `smpchat.protocol`, and::

    ProtocolError
    └── XFTPError           a relay of files answered ERR; ``code`` says what
    DecodeError
    ├── CommandDecodeError  bytes that are no command; ``code`` is what the relay answers
    └── SessionMismatch     a transmission names another session
"""
