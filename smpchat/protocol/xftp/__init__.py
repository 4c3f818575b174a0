"""The XFTP protocol, versions 1 to 3, for client and relay: encodes and decodes bytes, without sockets or clock
(xftp-wire 1.3 and 2).

Commands and answers are the bodies of HTTP/2 requests and responses. A body is one block of 16,384 bytes with exactly
one transmission; in FPUT and FILE, the bytes of a chunk follow. Errors are those of `smpchat.protocol`, and these::

    ProtocolError
    └── XFTPError           a file relay answered ERR; ``code`` is the error
    DecodeError
    ├── CommandDecodeError  bytes are not a command; ``code`` is the error that the relay answers
    └── SessionMismatch     a transmission contains the id of another session
"""
