"""Requests and answers of any length over HTTP/2 inside TLS, for relays of files (xftp-wire 1.1 and 1.2).

The library ``h2`` frames and checks; bytes come from the same TLS streams as those of `smpchat.transport.tls`, so that
session identifier, limits and closing are the same. A body goes as pieces in both directions, and is never whole in
memory: a peer may send as much as the window of the connection, and gets more of it for what was taken out here.

A client asks one thing at a time, as the app does, and reads only while somebody waits for the answer. A server reads
all the time, and answers up to `MAX_STREAMS` requests of a connection at once.
"""

from __future__ import annotations

SERVER_ALPN = ("xftp/1", "http/1.1")
"""Names of protocols that a file relay supports; the app offers the second one at port 443 (xftp-wire 1.1)."""
