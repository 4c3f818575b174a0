"""Sessions with relays: answers matched to commands, keep-alive, one session for each relay and its restoration.

Errors that a caller meets, beside those of `smpchat.transport` and the handshake errors of `smpchat.protocol`::

    TransportError              (smpchat.transport) ``temporary`` tells whether trying again can help
    ├── ConnectFailed           no session came about; nothing was sent
    └── NoResponse              a command was not answered; it may have been carried out all the same
        ├── ResponseTimeout     in time; the session goes on, and the answer may still come
        ├── SessionClosed       before the session ended, or it had ended already; the cause tells why
        └── UnexpectedResponse  as it should be: for another queue, or not of a known form
    SMPError                    (smpchat.protocol) the relay's ERR in answer to this command
"""
