"""SMP as bytes in and events out, shared by client and relay: no sockets, no clock, no randomness of its own.

Errors::

    ProtocolError                  root of the layer
    ├── LocalProtocolError         we tried what the protocol does not allow; nothing was sent
    ├── RemoteProtocolError        the peer broke the protocol; the session cannot go on
    │   ├── HandshakeError         the hello exchange failed; says which check
    │   │   ├── IdentityError      certificate chain, fingerprint, session id or session key
    │   │   │   └── CertificateTimeError  not valid at this time
    │   │   └── VersionError       version ranges do not overlap; names both
    │   └── BlockError             a block that does not decrypt or decode
    └── SMPError                   a relay answered ERR; ``code`` says what
"""
