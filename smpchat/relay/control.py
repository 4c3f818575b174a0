"""How `relay stats` reaches the relay that runs: a port of loopback and a token, in a file that only the owner reads.

A UNIX socket would be shorter, but paths of sockets are (108 bytes at most), and Windows has none for asyncio.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from smpchat.encoding.json_text import parse_json
from smpchat.encoding.record import Record, field
from smpchat.relay.errors import RelayError, RelayNotRunning
from smpchat.relay.folder import CONTROL, status
from smpchat.relay.local_http import LocalHTTP, Pages
from smpchat.relay.options import LOOPBACK

STATISTICS_PATH = "/stats"
_MAX_ANSWER = 1024 * 1024
_TIMEOUT = 20.0  # seconds; counting many messages takes a while


class _Door(Record):
    port: int
    token: str = field(repr=False)


class Control:
    """The relay's end, open while it runs."""

    def __init__(self, folder: Path, pages: Pages) -> None:
        self._path = folder / CONTROL
        self._token = secrets.token_urlsafe(32)
        self._http = LocalHTTP(pages, token=self._token)

    async def open(self) -> None:
        """Listens, and writes where. Raises `OSError`."""
        port = await self._http.start()
        self._path.unlink(missing_ok=True)
        with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            # The token is what protects it: any user of this computer reaches a port of loopback.
            json.dump({"port": port, "token": self._token}, file)

    async def close(self) -> None:
        """Removes the file and stops listening. May be repeated."""
        self._path.unlink(missing_ok=True)
        await self._http.close()


def ask(folder: Path, path: str) -> dict[str, Any]:
    """The answer of the relay of ``folder`` for a path. Blocks.

    Raises:
        RelayNotRunning: It does not run.
        RelayError: It does not answer, or says that it cannot.
    """
    import http.client  # costs 3 MB and 20 ms, and a relay never asks

    if status(folder).state != "running":
        raise RelayNotRunning("The relay is not running.")
    door = _read_door(folder / CONTROL)
    connection = http.client.HTTPConnection(LOOPBACK, door.port, timeout=_TIMEOUT)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {door.token}"})
        answer = connection.getresponse()
        body = answer.read(_MAX_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise RelayError(f"The relay does not answer: {error}.") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise RelayError(f"The relay refused: {body.decode('utf-8', 'replace').strip()}")
    try:
        content = parse_json(body)
    except ValueError as error:
        raise RelayError("The relay's answer cannot be read.") from error
    if not isinstance(content, dict):
        raise RelayError("The relay's answer cannot be read.")
    return content


def _read_door(path: Path) -> _Door:
    try:
        content = parse_json(path.read_bytes(), "it")
    except FileNotFoundError:
        raise RelayNotRunning("The relay is starting or stopping, or does not answer.") from None
    except (OSError, ValueError) as error:
        raise RelayError(f"{path} cannot be read: {error}.") from error
    match content:
        case {"port": int() as port, "token": str() as token} if 0 < port < 65536 and token.isascii():
            return _Door(port, token)
    raise RelayError(f"{path} is damaged: start the relay again.")
