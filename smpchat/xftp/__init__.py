"""Files at relays: what they are encrypted to, how they are described, and sessions with the relays that keep them.

A file is padded, sealed once as a whole, and cut into chunks; a relay knows nothing but chunks. Its description, which
travels as a message, tells a recipient where they are and how to open them (xftp-wire 0).

Errors that a caller meets are those of `smpchat.transport` and `smpchat.client`, the handshake errors of
`smpchat.protocol`, and::

    XFTPError               (smpchat.protocol.xftp) a relay's ERR; ``code`` says what
    └── ChunkDamaged        what came is not the chunk that the description names
    DecodeError             (smpchat.encoding) a description, link or encrypted file that is not as it must be
    VerificationError       (smpchat.crypto) an encrypted file that is not what its description names
    SourceChanged           (an OSError) a file became shorter while it was encrypted
"""
