"""Files at relays: their encryption, their descriptions, and sessions with the relays that store them.

A file is padded, sealed as a whole, and cut into chunks; a relay only knows chunks. Its description, which is sent as a
message, says where the chunks are and how to decrypt them (xftp-wire 0).

Errors that a caller meets are those of `smpchat.transport` and `smpchat.client`, the handshake errors of
`smpchat.protocol`, and::

    XFTPError               (smpchat.protocol.xftp) a relay's ERR; ``code`` says what
    └── ChunkDamaged        what came is not the chunk that the description names
    DecodeError             (smpchat.encoding) a description, link or encrypted file that is not as it must be
    VerificationError       (smpchat.crypto) an encrypted file that is not what its description names
    SourceChanged           (an OSError) a file became shorter while it was encrypted
"""
