"""Requests and answers of any length over HTTP/2 inside TLS, for file relays (xftp-wire 1.1 and 1.2).

The library ``h2`` frames and checks; bytes come from the same TLS streams as those of `smpchat.transport.tls`, so that
session identifier, limits and closing are the same. In both directions a body is sent in pieces, and never completely
in memory: a peer may send as much as the window of the connection allows, and gets more when data was read here.

A client makes one request at a time, as the app does, and reads only while a caller waits for the answer. A server
reads all the time, and answers up to `MAX_STREAMS` requests of a connection at once.
"""

from __future__ import annotations

SERVER_ALPN = ("xftp/1", "http/1.1")
"""Names of protocols that a file relay supports; the app offers the second one at port 443 (xftp-wire 1.1)."""
