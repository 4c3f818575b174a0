"""Serves a few pages over HTTP to programs on this computer: for `relay stats`, and for Prometheus.

The server listens only on loopback, answers only GET, and answers one request per connection. Requests from
`relay stats` must contain a token, which is in a file of the relay's folder. Requests from Prometheus need no token:
every user of this computer can read those pages.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping

from smpchat.encoding.record import Record
from smpchat.relay.errors import RelayError
from smpchat.relay.options import LOOPBACK

MAX_HEAD = 8_192
"""Longest request, in bytes."""
MAX_OPEN = 16
"""Maximum number of requests at the same time; further connections are closed at once."""
PATIENCE = 10.0
"""Seconds within which a request must be answered."""
_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 503: "Service Unavailable"}

_log = logging.getLogger("smpchat.relay")


class Page(Record):
    """The content of a page."""

    content_type: str
    body: bytes


Pages = Mapping[str, Callable[[], Awaitable[Page]]]


class LocalHTTP:
    """Serves pages on loopback.

    Args:
        pages: The paths, each with the function that makes its page. If the function raises `RelayError`, the answer is
            503 with the text of the error.
        token: The token that requests must contain as ``Authorization: Bearer``; None if requests need no token.
    """

    def __init__(self, pages: Pages, *, token: str | None = None) -> None:
        self._pages = pages
        self._token = token
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> int:
        """Starts listening, and returns the port. Raises `OSError` if the port is in use."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, port, limit=MAX_HEAD)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Ends all requests. May be repeated."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)
        if self._server is not None:
            await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MAX_OPEN:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                try:
                    status, page = await self._answer(await reader.readuntil(b"\r\n\r\n"))
                except asyncio.LimitOverrunError:
                    status, page = _plain(400, "the request is too long")
                writer.write(_encoded(status, page))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, EOFError) as error:  # a timeout is an OSError, an incomplete request an EOFError
            _log.debug("a local request failed: %s", error)
        finally:
            writer.transport.abort()

    async def _answer(self, head: bytes) -> tuple[int, Page]:
        request, *lines = head.decode("latin-1").split("\r\n")
        match request.split(" "):
            case ["GET", path, "HTTP/1.0" | "HTTP/1.1"]:
                pass
            case _:
                return _plain(400, "only GET is understood")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        # A web site can make a browser send requests to this port, but the browser then puts the site's name into the
        # Host header. So refuse a request whose Host header does not name this computer.
        if fields.get("host", LOOPBACK).partition(":")[0] not in (LOOPBACK, "localhost"):
            return _plain(403, "ask for 127.0.0.1")
        if self._token is not None and not hmac.compare_digest(
            fields.get("authorization", "").encode(), f"Bearer {self._token}".encode()
        ):
            return _plain(403, "the token is missing or wrong")
        page = self._pages.get(path)
        if page is None:
            return _plain(404, "there is no such page")
        try:
            return 200, await page()
        except RelayError as error:
            return _plain(503, str(error))


def _plain(status: int, sentence: str) -> tuple[int, Page]:
    return status, Page("text/plain; charset=utf-8", sentence.encode() + b"\n")


def _encoded(status: int, page: Page) -> bytes:
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {page.content_type}\r\n"
        f"Content-Length: {len(page.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + page.body
