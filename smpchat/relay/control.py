"""How `relay stats` asks the running relay for its statistics: over HTTP on a loopback port, with a token. The relay
writes the port and the token into the file ``relay.control``. Only the owner of the relay's folder can read this file.

We do not use a UNIX socket: the path of a UNIX socket may have at most 108 bytes, and the path of the relay's folder
may be longer. Besides, asyncio has no UNIX sockets on Windows.
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
    """Answers the requests of `ask`, in the relay's process."""

    def __init__(self, folder: Path, pages: Pages) -> None:
        self._path = folder / CONTROL
        self._token = secrets.token_urlsafe(32)
        self._http = LocalHTTP(pages, token=self._token)

    async def open(self) -> None:
        """Starts to listen on a loopback port, and writes the file with this port and the token. Raises `OSError`."""
        port = await self._http.start()
        self._path.unlink(missing_ok=True)
        with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            # Without the token, every user of this computer could ask the relay: all of them can connect to a loopback
            # port.
            json.dump({"port": port, "token": self._token}, file)

    async def close(self) -> None:
        """Removes the file with the port and the token, and stops listening. May be repeated."""
        self._path.unlink(missing_ok=True)
        await self._http.close()


def ask(folder: Path, path: str) -> dict[str, Any]:
    """Requests the page ``path`` from the running relay of ``folder`` over HTTP. Returns the page's JSON. Blocks.

    Raises:
        RelayNotRunning: The relay is not running.
        RelayError: The relay does not answer, or answers with an error.
    """
    import http.client  # takes 3 MB and 20 ms, and the relay itself does not need it

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
