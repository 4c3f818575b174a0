"""Files at relays: their encryption, their descriptions, and sessions with the relays that store them.

A file is padded, encrypted as a whole, and cut into chunks. A relay sees only chunks. The sender sends the file's
description as a message: the description says where the chunks are and how to decrypt them (xftp-wire 0).

A caller can get the errors of `smpchat.transport` and `smpchat.client`, the handshake errors of `smpchat.protocol`,
and::

    XFTPError               (smpchat.protocol.xftp) a relay's ERR; ``code`` is the error
    └── ChunkDamaged        the relay sent other bytes than the chunk in the description
    DecodeError             (smpchat.encoding) a description, link or encrypted file is not valid
    VerificationError       (smpchat.crypto) an encrypted file does not match its description
    SourceChanged           (an OSError) a file became shorter while it was encrypted
"""
