"""Moving blocks: TLS, an in-memory pair for tests, and the certificates that are a relay's identity.

A transport carries blocks of exactly 16,384 bytes and knows nothing of what is in them; `smpchat.client` and
`smpchat.relay` join it with `smpchat.protocol`.

Errors::

    TransportError              root of the layer; ``temporary`` tells whether trying again later can help
    ├── ConnectFailed           no connection came about; nothing was sent
    │   ├── NameNotFound        no host name leads to an address
    │   ├── ProxyFailed         the SOCKS proxy is not there, or does not connect
    │   └── AddressUnusable     the address leads nowhere by any way there is
    ├── ConnectionClosed        the connection has ended; what was sent last may or may not have arrived
    ├── ListenFailed            the address cannot be listened on
    └── IdentityError           certificate files that are missing, unsafe or do not belong together
        ├── IdentityMissing     the folder holds no identity yet
        └── ChainRefused        a certificate chain that is not the expected relay's
            └── CertificateNotCurrent  it is the relay's, but not valid yet or any more
"""
