"""Sessions with SMP relays. A session matches answers to commands, and notices a silent relay. A pool keeps one session
per relay, and opens a new one when it is lost.

This package raises the errors below, those of `smpchat.transport`, and the handshake errors of `smpchat.protocol`::

    TransportError              (smpchat.transport) ``temporary`` tells whether trying again can help
    ├── ConnectFailed           no session could be opened; nothing was sent
    ├── PrivateRoutingFailed    our own relay, the proxy, did not forward the command, or there is no proxy
    └── NoResponse              no usable answer to a command; the relay may still have executed it
        ├── ResponseTimeout     no answer in time; the session continues, and the answer may still come
        ├── SessionClosed       the session ended before the answer came or the command was sent; see the cause
        └── UnexpectedResponse  an answer for another queue, or in an unknown form
    SMPError                    (smpchat.protocol) the relay's ERR in answer to a command
"""
