"""HTTP/2 over TLS for file relays, with requests and answers of any length (xftp-wire 1.1 and 1.2).

The library ``h2`` makes and checks frames. HTTP/2 and SMP use the same TLS code (`smpchat.transport.tls`). So for
both, session identifiers are made in the same way, time limits are the same, and connections are closed in the same
way. The bodies of requests and answers are sent and received in pieces, and are never completely in memory. A peer may
send as many bytes as the connection's flow-control window allows, and more after we have read some.

A client makes one request at a time, like the SimpleX app, and reads from the connection only while a caller waits for
the answer. A server always reads, and handles up to `MAX_STREAMS` requests of a connection at the same time.
"""

from __future__ import annotations

SERVER_ALPN = ("xftp/1", "http/1.1")
"""ALPN names that a file relay accepts. The SimpleX app offers ``http/1.1`` at port 443 (xftp-wire 1.1)."""
