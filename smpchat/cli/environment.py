"""What every command has at hand: global options, data folders, output, and the relay that comes with smpchat."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpchat.cli.profile_key import ProfileKey
from smpchat.cli.selection import as_typed, selected
from smpchat.cli.text import filled
from smpchat.cli.text import printable as printable
from smpchat.config_path import FILE as CONFIG_FILE
from smpchat.config_path import own_config_file, platform_config_file, platform_home
from smpchat.encoding.record import Record, field

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from smpchat.chat.online.embedded import EmbeddedRelay
    from smpchat.chat.service.connecting import ChatService
    from smpchat.chat.service.reading import Opened
    from smpchat.config import Configuration
    from smpchat.home import Home

JSON_VERSION = 1
"""The number in the field ``v`` of every JSON object. It grows only if a field has to be renamed or removed, or has to
change its meaning."""


class Environment(Record):
    """The global options of one run of smpchat, its clock, and how its standard output may look.

    Attributes:
        socks: A SOCKS proxy for this run; see `StoredProfile`.
        trace: Whether the name of every protocol frame is printed on standard error.
        plain: Whether words are printed instead of symbols, and nothing is redrawn; for screen readers and simple
            terminals.
        color: False if ``--no-color`` or the variable ``NO_COLOR`` forbids colours; see `colored`.
        now: The clock; returns the current time in POSIX seconds.
        key: Where the passphrase of an encrypted profile comes from.
        config: What the config files say; None: there are no config files.
        config_file: The config file for all profiles; None: the one in ``home``.
    """

    home: Path
    profile: str
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    socks: str | None = None
    trace: bool = False
    plain: bool = False
    color: bool = True
    now: Callable[[], float] = time.time
    key: ProfileKey = field(default_factory=ProfileKey)
    config: Configuration | None = None
    config_file: Path | None = None

    @property
    def relay_folder(self) -> Path:
        """Folder of the embedded relay, which all profiles of one home share."""
        return self._home.relay_folder

    @property
    def _home(self) -> Home:
        from smpchat.home import Home

        return Home(self.home, self.config_file)

    def config_files(self) -> tuple[Path, Path]:
        """The config file for all profiles, and the profile's own. Raises `InputError` as `profile_folder` does."""
        return self._home.config_files(self.profile)

    def said_otherwise(self, setting: str) -> str | None:
        """The value that an option of this run or an environment variable gives to a setting; it overrides the config
        files. None if neither gives a value."""
        if setting == "color" and not self.color:
            return "never"
        return self.socks if setting == "socks" else None

    def setting(self, name: str) -> Any:
        """The value that the config files give to a setting; its default if they give none."""
        from smpchat.config import KEYS  # imported here: help and completion do not need it

        return KEYS[name].default if self.config is None else self.config.value(name)

    def check_config(self) -> None:
        """Raises `ConfigRefused` if the config files cannot be used."""
        if self.config is not None and self.config.error is not None:
            raise self.config.error

    @property
    def colored(self) -> bool:
        """Whether colours are allowed: no option, variable or config file forbids them. Nothing is shown by colours
        alone."""
        return self.color and self.setting("color") != "never"

    def profile_folder(self, name: str | None = None) -> Path:
        """Folder of a profile. Raises `InputError` for a name that cannot be the name of a folder."""
        return self._home.profile_folder(self.profile if name is None else name)

    def is_used(self) -> bool:
        """Whether the profile's database exists already."""
        from smpchat.chat.service.reading import is_used

        return is_used(self.profile_folder())

    def is_encrypted(self) -> bool:
        """Whether the profile is encrypted with a passphrase."""
        from smpchat.chat.service.reading import is_encrypted

        return is_encrypted(self.profile_folder())

    def open_as(self, kind: type[Opened]) -> Opened:
        """Open the profile as an object of the class ``kind``; create the profile if it does not exist yet. Raises as
        `open` does."""
        return self._home.open_as(kind, self.profile, socks=self.socks, now=self.now, passphrase=self.key)

    def open(self) -> ChatService:
        """Open the profile; create it if it does not exist yet. Raises `InputError` and `StoreError`."""
        return self._home.open(self.profile, socks=self.socks, now=self.now, passphrase=self.key)

    def relay(self) -> EmbeddedRelay:
        """The embedded relay of this home folder."""
        return self._home.relay()

    # -- how standard output may look ---------------------------------------------------------------------------------

    @property
    def attended(self) -> bool:
        """Whether standard output is for a person: a terminal, without ``--json``."""
        return not self.json and sys.stdout.isatty()

    @property
    def styled(self) -> bool:
        """Whether standard output may have styles, by the rules of `rich`. `rich` itself is not imported for this,
        because that takes time."""
        return sys.stdout.isatty() or self._forced or bool(os.environ.get("FORCE_COLOR"))

    @property
    def _forced(self) -> bool:
        return self.color and self.setting("color") == "always"

    @property
    def redraws(self) -> bool:
        """Whether a command may redraw lines that it has already printed, such as the steps of a connection."""
        return self.attended and not self.plain and os.environ.get("TERM", "dumb") not in ("dumb", "")

    @property
    def symbols(self) -> bool:
        """Whether symbols such as ✓ may be used instead of words."""
        return self.redraws and encodes(sys.stdout.encoding, "✓✗●·│─")

    def console(self) -> Console:
        """Standard output with styles, if it is a terminal that supports them and colours are wanted."""
        from rich.console import Console

        # If a contact writes [red] or :smile:, this text is printed unchanged.
        forced = True if self._forced else None
        return Console(no_color=not self.colored, force_terminal=forced, highlight=False, markup=False, emoji=False)

    def as_typed(self, text: str) -> str:
        """``text``, in which each command between backticks also gets this run's ``--home`` and ``-p``, if the command
        needs them (`smpchat.cli.selection.as_typed`)."""
        return as_typed(text, self.home, self.profile)

    # -- output -------------------------------------------------------------------------------------------------------

    def emit(self, kind: str, fields: dict[str, Any], line: str | Callable[[], RenderableType] | None) -> None:
        """Print data on standard output: with ``--json`` an object for scripts, otherwise ``line`` for people. The
        output is flushed."""
        if self.json:
            # Flush each line, so that a program that reads our output can act on it at once.
            print(json_line(kind, fields), flush=True)
        elif isinstance(line, str):
            print(line, flush=True)
        elif line is not None:
            self.show(line())

    def show(self, renderable: RenderableType) -> None:
        """Print something for people on standard output; the terminal wraps long lines. The output is flushed."""
        console = self.console()
        with console.capture() as capture:
            console.print(renderable, soft_wrap=True)
        print(capture.get(), end="", flush=True)  # not by the console, which would end the program on a broken pipe

    def notice(self, sentence: str) -> None:
        """Print a sentence on standard error, unless ``--quiet`` is given."""
        if not self.quiet:
            _print_sentences(self.as_typed(sentence))

    def error(self, status: int, message: str, hint: str) -> None:
        """Print on standard error what happened and what the user can do. With ``--json``, also print both as one
        object on standard output."""
        message, hint = self.as_typed(message), self.as_typed(hint)
        if self.json:
            self.emit("error", {"code": status, "message": message, "hint": hint}, None)
        _print_sentences(f"{message}\n{hint}" if hint else message)


def json_line(kind: str, fields: dict[str, Any]) -> str:
    """A JSON object for scripts, in one line of ASCII. `smpchat.cli.schema` describes its fields."""
    import json  # imported here: help and output for people do not need it

    return json.dumps({"v": JSON_VERSION, "type": kind, **fields}, ensure_ascii=True)


def _print_sentences(text: str) -> None:
    """Print on standard error; on a terminal, lines are wrapped between words."""
    lines = printable(text, lines=True).split("\n")
    if sys.stderr.isatty():
        lines = [filled(line, shutil.get_terminal_size().columns) for line in lines]
    with suppress(BrokenPipeError):  # nobody reads our notices, but the command continues
        print("\n".join(lines), file=sys.stderr, flush=True)


def encodes(encoding: str | None, text: str) -> bool:
    """Whether a stream with this encoding can write ``text``."""
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def make_environment(
    home: Path | None,
    profile: str | None,
    *,
    json: bool = False,
    quiet: bool = False,
    verbose: bool = False,
    socks: str | None = None,
    trace: bool = False,
    plain: bool = False,
    color: bool = True,
    now: Callable[[], float] = time.time,
    key_file: Path | None = None,
    key_command: str | None = None,
) -> Environment:
    """Make the environment of one run from its global options.

    The environment variable ``NO_COLOR`` turns colours off, unless it is empty.

    Args:
        home: None: the platform's folder for data.
        profile: None: the profile chosen with ``profile switch``.
        key_file, key_command: See `ProfileKey`.
    Raises:
        CommandFailed: The file ``active-profile``, which holds the name of the chosen profile, is damaged.
    """
    config_file = None
    if home is None:
        home, config_file = platform_home(), platform_config_file()
    color = color and not os.environ.get("NO_COLOR")
    profile = selected(home) if profile is None else profile
    key = ProfileKey(profile, key_file, key_command)
    home = home.absolute()
    config = _configuration((config_file or own_config_file(home), home / "profiles" / profile / CONFIG_FILE))
    return Environment(home, profile, json, quiet, verbose, socks, trace, plain, color, now, key, config, config_file)


def _configuration(files: tuple[Path, Path]) -> Configuration | None:
    """What the config files say; None if there are no config files.

    If the files cannot be used, the result holds the error. `run` reports the error later, unless the command does not
    need the config files.
    """
    if not any(map(os.path.lexists, files)):
        return None
    from smpchat.config import ConfigRefused, Configuration, read

    try:
        return read(files)
    except ConfigRefused as error:
        return Configuration(error=error)
