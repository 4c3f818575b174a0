"""The SMP protocol, for client and relay: encodes and decodes bytes, without sockets, clock or randomness of its own.

A *hello* is the first block that each side of a connection sends (SMP calls the exchange a handshake). A hello is not
the HELLO message of the agent protocol. *The reference* is simplexmq, the official implementation.

Errors::

    ProtocolError                  base class
    ├── LocalProtocolError         we tried something that the protocol does not allow; nothing was sent
    ├── RemoteProtocolError        the peer broke the protocol; the session cannot continue
    │   ├── HandshakeError         the hello exchange failed; the text says which check failed
    │   │   ├── IdentityError      wrong certificate chain, fingerprint, session id or session key
    │   │   │   └── CertificateTimeError  a certificate is not valid at this time
    │   │   └── VersionError       the version ranges do not overlap; the text names both ranges
    │   ├── BlockError             a block cannot be decrypted or decoded
    │   └── IdInUse                a relay gave a new queue the id of one of our other queues
    └── SMPError                   a relay answered ERR; ``code`` is the error
"""
