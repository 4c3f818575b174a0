"""Where a command runs: global options, data folders, streams, and the relay that comes with smpchat."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smpchat.chat.online import EmbeddedRelay
    from smpchat.chat.service import ChatService

_SWITCHES = {"--json", "-q", "--quiet", "-v", "--verbose", "--no-color"}
_VALUES = {"--home", "-p", "--profile", "--socks"}
_TAKE_VALUE = {
    "-m",
    "--alias",
    "--note",
    "--server",
    "--handshake",
    "--timeout",
    "--count",
    "-n",
    "--search",
    "--host",
    "--ws-port",
    "--transport",
}


def globals_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with global options, which may stand anywhere before ``--``, in front of the command."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument in _SWITCHES or argument.startswith(("--home=", "--profile=", "--socks=")):
            front.append(argument)
        elif argument in _VALUES:
            front += [argument, *_next(waiting)]
        elif argument in _TAKE_VALUE:
            rest += [argument, *_next(waiting)]
        else:
            rest.append(argument)
    return front + rest


def _next(waiting: Any) -> list[str]:
    return [value for value in [next(waiting, None)] if value is not None]


def printable(text: str, *, lines: bool = False) -> str:
    """Peer text made harmless for a terminal: control, format and bidi characters become visible escapes."""
    return "".join(
        c if c.isprintable() or (lines and c == "\n") else f"\\u{{{ord(c):x}}}"
        for c in unicodedata.normalize("NFC", text)
    )


@dataclass(frozen=True, slots=True)
class Environment:
    """The global options of one run."""

    home: Path
    profile: str
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    socks: str | None = None

    @staticmethod
    def make(
        home: Path | None, profile: str, as_json: bool, quiet: bool, verbose: bool, socks: str | None
    ) -> Environment:
        """The environment; ``home`` is the platform's place for data if None."""
        if home is None:
            from platformdirs import user_data_path

            home = user_data_path("smpchat", appauthor=False)
        return Environment(home.absolute(), profile, as_json, quiet, verbose, socks)

    @property
    def relay_folder(self) -> Path:
        """Folder of the embedded relay, which all profiles of one home share."""
        return self.home / "relay"

    def profile_folder(self, name: str | None = None) -> Path:
        """Folder of a profile."""
        return self.home / "profiles" / (name or self.profile)

    def open(self) -> ChatService:
        """The profile's service; made at first use. Raises `InputError` for a name that is no folder name."""
        from smpchat.home import Home

        return Home(self.home).open(self.profile, socks=self.socks)

    def relay(self) -> EmbeddedRelay:
        """The embedded relay of this home."""
        from smpchat.home import Home

        return Home(self.home).relay()

    def emit(self, kind: str, fields: dict[str, Any], line: str | None) -> None:
        """Data on standard output: an object for scripts, a line for people. Flushed when it returns."""
        if self.json:
            print(json.dumps({"v": 1, "type": kind, **fields}, ensure_ascii=True), flush=True)
        elif line is not None:
            print(line, flush=True)

    def notice(self, sentence: str) -> None:
        """A sentence on standard error, unless ``--quiet``."""
        if not self.quiet:
            print(sentence, file=sys.stderr, flush=True)

    def error(self, status: int, message: str, hint: str) -> None:
        """What happened and what to do: on standard error, and as an object for scripts."""
        if self.json:
            self.emit("error", {"code": status, "message": message, "hint": hint}, None)
        print(f"{printable(message)}\n{printable(hint)}" if hint else printable(message), file=sys.stderr, flush=True)


def is_terminal() -> bool:
    """Whether a person looks at standard output."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
