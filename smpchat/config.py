"""The config files: defines all settings and their valid values, and reads the values that the files set.

All profiles share one config file. A profile can also have a config file of its own, which overrides the shared one.
Config files are TOML, with one setting per line. Anything wrong in a config file is an error: if ``sock``, a
misspelling of ``socks``, were ignored, messages would bypass the SOCKS proxy.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from smpchat.chat.errors import InputError
from smpchat.encoding.patterns import late
from smpchat.encoding.record import Record, field

MAX_BYTES = 1 << 16
MAX_SERVERS = 64
MAX_TEXT = 1_000
"""The maximum length of a setting's value in characters; for a list, the maximum length of each item."""
NOTIFICATIONS = ("off", "bell", "osc9", "osc777")
"""All values of the setting ``notifications`` with a meaning of their own. Any other value is a command to run."""


class Key(Record):
    """One setting.

    Attributes:
        default: The value if no file sets one. Its type is the type of all values of this setting; a list in TOML is a
            tuple here.
        meaning: What the setting does, for the table of docs/config.md and for `config list`.
        form: The valid values, in words.
        check: Called with a value of the right type. Returns what is wrong with the value; an empty text if it is
            valid.
        values: The values that the shell's completion offers.
        stored: The name under which a profile's store keeps the profile's own value of the setting. This value
            overrides the config files. None if a profile's store cannot keep a value of this setting.
        chosen_by: How the user sets the profile's own value.
    """

    name: str
    default: bool | str | tuple[str, ...]
    meaning: str
    form: str
    check: Callable[[Any], str]
    values: tuple[str, ...] = ()
    stored: str | None = None
    chosen_by: str = ""

    def in_file(self) -> str:
        """The setting with its default value, as a line of a config file."""
        if isinstance(self.default, bool):
            return f"{self.name} = {str(self.default).lower()}"
        return f'{self.name} = "{self.default}"' if isinstance(self.default, str) else f"{self.name} = []"


def _any(_: object) -> str:
    return ""


def _one_of(*values: str) -> Callable[[str], str]:
    return lambda value: "" if value in values else f"{value!r} is not one of {', '.join(values)}"


def _notifications(value: str) -> str:
    import shlex

    try:
        words = shlex.split(value)
    except ValueError as error:
        return f"the command cannot be read ({error})"
    return "" if words else "it is empty"


def _socks(value: str) -> str:
    from smpchat.encoding.reader import DecodeError
    from smpchat.transport.socks_address import parse_proxy

    try:
        if value != "off":
            parse_proxy(value)
    except DecodeError:
        return f"{value!r} is not HOST:PORT or off"
    return ""


def _servers(value: tuple[str, ...]) -> str:
    from smpchat.chat.store.servers import relay_address

    if len(value) > MAX_SERVERS:
        return f"more than {MAX_SERVERS} relays"
    for at, address in enumerate(value, 1):
        if address == "simplex":
            continue
        try:
            server = relay_address(address)
        except InputError as error:
            # the address is not printed: it may contain a password
            return f"relay {at}: {str(error)[0].lower()}{str(error)[1:].rstrip('.')}"
        if server.password:
            return "do not put a relay's password into this file: use `smpchat server add`"
    return ""


def _file_servers(value: tuple[str, ...]) -> str:
    from smpchat.chat.store.servers import file_relay_address

    if len(value) > MAX_SERVERS:
        return f"more than {MAX_SERVERS} relays"
    for at, address in enumerate(value, 1):
        if address == "simplex":
            continue
        try:
            server = file_relay_address(address)
        except InputError as error:
            return f"relay {at}: {str(error)[0].lower()}{str(error)[1:].rstrip('.')}"
        if server.password:
            return "do not put a relay's password into this file: use `smpchat server add`"
    return ""


def _folder(value: str) -> str:
    return "" if not value or value.startswith(("/", "~", "\\\\")) or value[1:2] == ":" else "this is not a full path"


FLAGS = ("on", "off")
KEYS = {
    key.name: key
    for key in (
        Key(
            "bell",
            False,
            "`chat` rings the terminal's bell when someone writes",
            "true or false",
            _any,
            FLAGS,
            "bell",
            "/bell in `smpchat chat`",
        ),
        Key(
            "notifications",
            "off",
            "how `chat` and `listen` notify you of a message or request: `bell`; `osc9` or `osc777`, which many"
            " terminals show on the desktop; or your own command, which gets the number of the"
            " message or request as `SMPCHAT_ID`, and the contact's alias as `SMPCHAT_CONTACT` (for a request: the"
            " sender's name as `SMPCHAT_REQUEST`)",
            "off, bell, osc9, osc777 or a command",
            _notifications,
            NOTIFICATIONS,
        ),
        Key(
            "receipts",
            True,
            "contacts are told that their messages arrived",
            "true or false",
            _any,
            FLAGS,
            "receipts",
            "`smpchat profile set --receipts`",
        ),
        Key(
            "time-format",
            "24h",
            "format of times: 21:05 (`24h`), 09:05 pm (`12h`), or 21:05 with days as 2026-11-25 (`iso`); does not"
            " change `--json`",
            "24h, 12h or iso",
            _one_of("24h", "12h", "iso"),
            ("24h", "12h", "iso"),
        ),
        Key(
            "wait",
            "sent",
            "what `send` and `reply` wait for without `--wait`",
            "sent, delivered or none",
            _one_of("sent", "delivered", "none"),
            ("sent", "delivered", "none"),
        ),
        Key(
            "color",
            "auto",
            "colours; auto means only on a terminal; `--no-color` and `NO_COLOR` override this",
            "auto, always or never",
            _one_of("auto", "always", "never"),
            ("auto", "always", "never"),
        ),
        Key(
            "servers",
            (),
            "relays for new invitations: addresses, or `simplex` for the public relays; if empty, the embedded"
            " relay is used",
            "a list of relays' addresses, or simplex",
            _servers,
            ("simplex",),
            "servers",
            "`smpchat server add` or `smpchat server use`",
        ),
        Key(
            "file-servers",
            (),
            "relays for files that you send: addresses (xftp://…), or `simplex` for the public relays; if empty,"
            " the embedded relay, or the public relays if `servers` names the public relays",
            "a list of file relays' addresses, or simplex",
            _file_servers,
            ("simplex",),
            "file_servers",
            "`smpchat server add` or `smpchat server use`",
        ),
        Key(
            "files-folder",
            "",
            "folder for received files; if empty, `smpchat` in your downloads folder",
            "a full path, or empty",
            _folder,
            (),
            "files_folder",
            "the file",
        ),
        Key(
            "files-auto",
            "off",
            "receive pictures and voice messages up to 510 KiB, and videos up to 1,023 KiB, without asking: `off`:"
            " never; `known`: only from file relays in your list or public ones; `on`: from any relay, which then"
            " learns your IP address",
            "off, known or on",
            _one_of("off", "known", "on"),
            ("off", "known", "on"),
            "files_auto",
            "the file",
        ),
        Key(
            "private-routing",
            False,
            "send messages to other people's relays through your own relays",
            "true or false",
            _any,
            FLAGS,
            "private_routing",
            "`smpchat server private-routing`",
        ),
        Key(
            "socks",
            "off",
            "SOCKS5 proxy for every relay except the embedded one",
            "HOST:PORT or off",
            _socks,
            ("off", "127.0.0.1:9050"),
            "socks",
            "`smpchat server socks`",
        ),
    )
}
"""All settings, in the order in which `config list` prints them."""


class ConfigRefused(InputError):
    """A config file cannot be used. The error's text names the file, the line if it is known, and the reason."""

    def __init__(self, path: Path, line: int | None, what: str, hint: str) -> None:
        where = f"{path}, line {line}" if line else str(path)
        super().__init__(f"{where}: {what}.", hint)


class Value(Record):
    """The value of a setting, with the file and the line that set it. File and line are None if no file sets it."""

    value: bool | str | tuple[str, ...]
    path: Path | None = None
    line: int | None = None


class Configuration(Record):
    """The settings in the config files.

    Attributes:
        said: The settings that the config files contain: for each setting's name, its value.
        error: Why the config files cannot be used; None if they can. If there is an error, ``said`` is empty.
    """

    said: Mapping[str, Value] = field(default_factory=dict)
    error: ConfigRefused | None = None

    def value(self, name: str) -> Any:
        """The setting's value from the config files, or else its default. A profile's store may override it (see
        `Key.stored`)."""
        found = self.said.get(name)
        return KEYS[name].default if found is None else found.value

    def stored_defaults(self) -> dict[str, str]:
        """The values from the config files for those settings that a profile's store can override. The keys are the
        settings' names in the store (`Key.stored`)."""
        return {
            key.stored: stored_text(self.said[name].value)
            for name, key in KEYS.items()
            if key.stored is not None and name in self.said
        }


def stored_text(value: bool | str | tuple[str, ...]) -> str:
    """Convert a setting's value to the text that a profile's store keeps for it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return value if isinstance(value, str) else " ".join(value)


def read(paths: tuple[Path, ...]) -> Configuration:
    """The settings of all files together; each file overrides those before it in ``paths``. Raises `ConfigRefused`."""
    said: dict[str, Value] = {}
    for path in paths:
        text = content(path)
        if text is not None:
            said |= values(path, text)
    return Configuration(said)


def content(path: Path) -> str | None:
    """The text of a config file; None if the file does not exist. Raises `ConfigRefused`."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ConfigRefused(path, None, "this is not a file", "Put the settings into a file of that name.")
        if status.st_mode & stat.S_IWOTH:  # the file can name a program to run, or turn off a proxy
            raise ConfigRefused(
                path,
                None,
                "everyone may write to this file",
                "Remove that permission with `chmod o-w` and the file's path.",
            )
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigRefused(path, None, f"cannot be read: {error.strerror}", "Check who owns the file.") from error
    if len(data) > MAX_BYTES:
        raise ConfigRefused(path, None, f"longer than {MAX_BYTES:,} bytes", "Shorten the file.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigRefused(path, line, "this is not UTF-8 text", "Write that line again.") from None


def values(path: Path, text: str) -> dict[str, Value]:
    """The names of the settings in a file, each with its value. Raises `ConfigRefused`."""
    lines = {statement.key: statement for statement in reversed(statements(path, text))}
    found = {}
    for name, value in parsed(path, text).items():
        line = lines[name].first + 1 if name in lines else None
        found[name] = Value(checked(path, line, name, value), path, line)
    return found


def parsed(path: Path, text: str) -> dict[str, Any]:
    """A file as TOML. Raises `ConfigRefused`."""
    import tomllib  # imported only if there is a file: this takes 3 ms

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigRefused(path, None, "too many nested brackets", "Write one setting per line.") from None
    except ValueError as error:  # raised for a number with thousands of digits too
        what, _, where = str(error).rpartition(" (at ")
        at = re.match(r"line (\d+)", where)
        line = int(at[1]) if at else max(1, len(text.splitlines()))
        raise ConfigRefused(
            path, line, f"this is not TOML: {what or error}", 'Write NAME = "VALUE", but true and false without quotes.'
        ) from None


def checked(path: Path, line: int | None, name: str, value: object) -> bool | str | tuple[str, ...]:
    """Check a setting's name and value. Returns the value, with a list as a tuple. Raises `ConfigRefused`."""
    key = KEYS.get(name)
    if key is None:
        raise ConfigRefused(path, line, f"there is no setting {name[:60]!r}", unknown_hint(name))
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = tuple(value)
    texts = value if isinstance(value, tuple) else (value,) if isinstance(value, str) else ()
    hint = f"Allowed: {key.form}. `smpchat config set {name} VALUE` sets it."
    if type(value) is not type(key.default):
        raise ConfigRefused(path, line, f"{name} is not {key.form}", hint)
    if any(len(text) > MAX_TEXT or not text.isprintable() for text in texts):
        raise ConfigRefused(path, line, f"{name} is too long, or contains characters that cannot be printed", hint)
    wrong = key.check(value)
    if wrong:
        raise ConfigRefused(path, line, f"{name}: {wrong}", hint)
    assert isinstance(value, bool | str | tuple)
    return value


def unknown_hint(name: str) -> str:
    """A hint for an unknown setting: which one was probably meant."""
    import difflib

    near = difflib.get_close_matches(name.lower().replace("_", "-"), KEYS, 1)
    return f"Did you mean {near[0]}?" if near else f"The settings are: {', '.join(KEYS)}."


class Statement(Record):
    """One statement of a config file: ``key = value``, or the header of a table. ``first`` and ``last`` are the numbers
    of its first and last line, counted from 0."""

    key: str
    first: int
    last: int
    comment: str
    is_table: bool


_STRING = late(r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'', re.DOTALL)
_PLAIN = late(r"[^\"'#\n\[\]{}]+")


def statements(path: Path, text: str) -> list[Statement]:
    """All statements in a config file, with their line numbers, which `tomllib` does not tell. If the file is not valid
    TOML, some statements may be missing."""
    found = []
    for first, last, code, comment in _logical_lines(text):
        begun = code.strip()
        if not begun:
            continue
        key = _first_key(path, begun.lstrip("[") if begun.startswith("[") else begun)
        if key is not None:
            found.append(Statement(key, first, last, comment, begun.startswith("[")))
    return found


def _logical_lines(text: str) -> Iterator[tuple[int, int, str, str]]:
    """For each statement of a file, yields the numbers of its first and last line, its text, and the comment after
    it."""
    at = line = first = depth = 0
    begin, comment = 0, ""
    while at < len(text):
        character = text[at]
        string = _STRING().match(text, at) if character in "\"'" else None
        plain = _PLAIN().match(text, at)
        end = string.end() if string else plain.end() if plain else at + 1
        if character == "#":
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            if depth == 0:
                comment = text[at:end].rstrip("\r")
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth = max(0, depth - 1)
        elif character == "\n" and depth == 0:
            yield first, line, text[begin : at - len(comment)] if comment else text[begin:at], comment
            begin, comment, first = at + 1, "", line + 1
        line += text.count("\n", at, end)
        at = end
    yield first, line, text[begin : at - len(comment)] if comment else text[begin:at], comment


def _first_key(path: Path, code: str) -> str | None:
    """The first key of a TOML statement. It is ``a`` in ``a = 1``, ``"a" = 1``, ``a.b = 1`` and ``[a]``."""
    found = re.match(r"""\s*([A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')\s*(?=[.=\]])""", code)
    if found is None:
        return None
    if found[1][0] not in "\"'":
        return found[1]
    try:
        return next(iter(parsed(path, f"{found[1]} = 0")))
    except ConfigRefused:
        return None
