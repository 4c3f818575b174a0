"""Files at relays: their encryption, their descriptions, and sessions with the relays that store them.

A file is padded, encrypted as a whole, and cut into chunks. A relay sees only chunks. The sender sends the file's
description as a message: the description says where the chunks are and how to decrypt them (xftp-wire 0).

The functions of this package can raise the errors of `smpchat.transport` and `smpchat.client`, the handshake errors of
`smpchat.protocol`, and these errors::

    XFTPError               (smpchat.protocol.xftp) a relay answered ERR; ``code`` says why
    └── ChunkDamaged        a relay sent bytes that are not the requested chunk
    DecodeError             (smpchat.encoding) a description, link or encrypted file is not valid
    VerificationError       (smpchat.crypto) an encrypted file does not match its description
    SourceChanged           (an OSError) a file became shorter while it was encrypted
"""
