"""Transports send and receive blocks: over TLS, over WebSocket, or in memory for tests. This package also makes and
checks the certificates of relays.

A transport sends and receives blocks of exactly 16,384 bytes, and does not know what they contain. The modules
`smpchat.client` and `smpchat.relay` use `smpchat.protocol` to write and read the contents of blocks.

Errors::

    TransportError              base class; ``temporary`` says whether trying again later can help
    ├── ConnectFailed           no connection was made; nothing was sent
    │   ├── NameNotFound        no host name could be resolved
    │   ├── ProxyFailed         the SOCKS proxy cannot be reached, or does not connect to the relay
    │   ├── AddressUnusable     the address cannot be used at all
    │   ├── AddressRefused      another person chose the relay, and its address is not allowed
    │   ├── OwnRelayStopped     the user has stopped the relay of this computer
    │   └── OwnRelayFailed      the relay of this computer does not start
    │       └── OwnRelayFolderRefused  the folder of that relay cannot be used
    ├── ConnectionClosed        the connection has ended; the last blocks sent may or may not have arrived
    ├── ListenFailed            listening on the address is not possible
    └── IdentityError           certificate files are missing, unsafe, or do not belong together
        ├── IdentityMissing     the folder contains no identity yet
        └── ChainRefused        a certificate chain does not belong to the expected relay
            └── CertificateNotCurrent  the chain belongs to the relay, but has expired or is not valid yet
"""
