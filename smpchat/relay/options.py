"""The options for the operator of a relay: one table for the command lines, the saved options and the documentation.

This module imports little, because the command line imports it to show help, which must not take long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from smpchat.encoding.patterns import late
from smpchat.encoding.record import Record, field, fields, replace
from smpchat.relay.errors import RelayOptionRefused

LOOPBACK = "127.0.0.1"
"""The address on which the relay listens by default, and on which it always serves its statistics."""
OFF = 0
"""Stands in place of a port number, for metrics or for files, and means that the relay does not serve them."""
NO_WEBSOCKET = NO_FILES = -1
"""Given in place of a port number, for WebSocket or for files: the relay then does not serve them, and forgets the port
of earlier starts."""
PROXY = ("none", "public", "all")
"""The values of ``--proxy``; see `smpchat.relay.destinations.Destinations`."""


class Explained(Record):
    """The description of an option.

    Attributes:
        name: Name of the field in `Options`. The option has the same name, with hyphens instead of underscores.
        metavar: Name of the value in help texts.
        meaning: What the option means, in one sentence without a full stop.
        default: The default value as a user would type it; None if the default is not a fixed value.
        bounds: Smallest and largest value of a number.
        words: Certain words that the option accepts as its value, for example ``on`` and ``off``.
    """

    name: str
    metavar: str
    meaning: str
    default: str | None
    bounds: tuple[int, int] | None = None
    words: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """The option as a user types it."""
        return "--" + self.name.replace("_", "-")

    @property
    def help(self) -> str:
        """The help text: what the option means, and its default."""
        return f"{self.meaning}." if self.default is None else f"{self.meaning} (default: {self.default})."


_PROXY_HELP = (
    "Other relays to which clients may send through this one: none, those with a public IP address, or all (default:"
    " all if this relay listens on loopback only, otherwise public)"
)
_HOST_HELP = "Addresses to listen on, separated by commas; 0.0.0.0 means all IPv4 addresses, :: means all addresses"
_PASSWORD_HELP = "Password needed for new queues and files; '' for none (default: the one used last; at first none)"
_IDLE_HELP = "Time limit for an idle client that listens to no queue"
OPTIONS: Final = (
    Explained("host", "ADDRESS", _HOST_HELP, "127.0.0.1"),
    Explained("password", "TEXT", _PASSWORD_HELP, None),
    Explained("proxy", "|".join(PROXY), _PROXY_HELP, None, words=PROXY),
    Explained("new_queues", "on|off", "Allow new queues", "on", words=("on", "off")),
    Explained("quota", "N", "Messages per queue", "128", (1, 100_000)),
    Explained("max_stored", "MIB", "Maximum MiB of stored queues and messages", "10240", (1, 100_000_000)),
    Explained("min_free", "MIB", "MiB to leave free on the disk", "64", (1, 100_000_000)),
    Explained("keep_days", "DAYS", "Days to keep messages that are not fetched", "21", (1, 3_650)),
    Explained("max_connections", "N", "Open connections", "10000", (1, 1_000_000)),
    Explained("max_connections_per_address", "N", "Open connections per IP address", "1000", (1, 1_000_000)),
    Explained("max_new_queues", "N", "New queues per connection and minute", "3000", (1, 1_000_000)),
    Explained("max_unsent", "KIB", "Maximum KiB of answers waiting for one client", "1024", (64, 1_048_576)),
    Explained("handshake_time", "SECONDS", "Time limit for each handshake: TLS, then SMP", "60", (1, 3_600)),
    Explained("write_time", "SECONDS", "Time limit for a client that reads nothing", "120", (1, 86_400)),
    Explained("idle_time", "SECONDS", _IDLE_HELP, "21600", (60, 31_536_000)),
    Explained("new_files", "on|off", "Allow new files", "on", words=("on", "off")),
    Explained("files_quota", "MIB", "Maximum MiB of stored files", "10240", (1, 100_000_000)),
    Explained("files_hours", "HOURS", "Hours to keep files", "48", (1, 8_760)),
    Explained("max_file_connections", "N", "Open XFTP connections", "256", (1, 100_000)),
    Explained("max_file_connections_per_address", "N", "Open XFTP connections per IP address", "64", (1, 100_000)),
    Explained("max_new_chunks", "N", "New chunks (parts of files) per connection and minute", "3000", (1, 1_000_000)),
    Explained("metrics_port", "PORT|off", "Loopback port for Prometheus metrics", "off", (1, 65_535), ("off",)),
)  # fmt: skip
_PASSWORD = late(r"[!-.0-9;-?A-~]{1,200}")  # the passwords that an address can contain
BY_NAME: Final = {option.name: option for option in OPTIONS}
_SWITCHES = frozenset(option.name for option in OPTIONS if option.words == ("on", "off"))


MAX_HOSTS = 8
"""Maximum number of addresses to listen on; every link contains all these addresses."""


def hosts_of(text: str | None) -> tuple[str, ...]:
    """The addresses in the value of ``--host``. IPv6 addresses may be in brackets. Raises `RelayOptionRefused`."""
    if not text:
        return (LOOPBACK,)
    hosts = tuple(dict.fromkeys(unbracketed(part.strip()) for part in text.split(",")))
    if not all(hosts) or len(hosts) > MAX_HOSTS:
        raise RelayOptionRefused(f"--host takes up to {MAX_HOSTS} addresses separated by commas, not {text!r}.")
    return hosts


def unbracketed(host: str) -> str:
    """A host without the brackets around an IPv6 address."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


class Options(Record):
    """The chosen options. An option that was not chosen is None. `OPTIONS` explains the fields.

    Attributes:
        password: "" if the relay needs no password; None if the user did not choose, so that an earlier password is
            kept.
        metrics_port: The loopback port for metrics; `OFF` if the relay serves no metrics.
    Raises:
        RelayOptionRefused: A value is not allowed.
    """

    host: str | None = None
    password: str | None = field(default=None, repr=False)
    proxy: str | None = None
    new_queues: bool | None = None
    quota: int | None = None
    max_stored: int | None = None
    min_free: int | None = None
    keep_days: int | None = None
    max_connections: int | None = None
    max_connections_per_address: int | None = None
    max_new_queues: int | None = None
    max_unsent: int | None = None
    handshake_time: int | None = None
    write_time: int | None = None
    idle_time: int | None = None
    new_files: bool | None = None
    files_quota: int | None = None
    files_hours: int | None = None
    max_file_connections: int | None = None
    max_file_connections_per_address: int | None = None
    max_new_chunks: int | None = None
    metrics_port: int | None = None

    def __post_init__(self) -> None:
        if self.password and not _PASSWORD().fullmatch(self.password):
            raise RelayOptionRefused("A password has up to 200 printable ASCII characters, without spaces, @, : and /.")
        hosts_of(self.host)
        for option in OPTIONS:
            value = getattr(self, option.name)
            if type(value) is str and not value.isprintable():
                raise RelayOptionRefused(f"{option.flag} contains characters that cannot be printed.")
            if type(value) is str and option.words and value not in option.words:
                raise RelayOptionRefused(f"{option.flag} takes one of {', '.join(option.words)}.")
            if type(value) is int and option.bounds is not None and (value != OFF or "off" not in option.words):
                low, high = option.bounds
                if not low <= value <= high:
                    raise RelayOptionRefused(f"{option.flag} takes a number from {low} to {high}, not {value}.")

    def over(self, kept: Options) -> Options:
        """Returns a copy of these options in which the options that were not chosen have their values from ``kept``."""
        return replace(kept, **self.chosen())

    def chosen(self) -> dict[str, Any]:
        """The chosen options, to be stored as JSON."""
        values = {name: getattr(self, name) for name in fields(Options)}
        return {name: value for name, value in values.items() if value is not None}

    def arguments(self) -> list[str]:
        """The chosen options as arguments of ``python -m smpchat.relay``. The password is left out, because other users
        can read command lines."""
        return [
            argument
            for name, value in self.chosen().items()
            if name != "password"
            for argument in (BY_NAME[name].flag, _typed(name, value))
        ]


NOTHING_CHOSEN: Final = Options()


def _typed(name: str, value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "off" if name == "metrics_port" and value == OFF else str(value)


def parse_options(typed: Mapping[str, str | None]) -> Options:
    """Makes options from the texts that the user typed; ``typed`` has the field names as keys, and None for options
    that were not typed. Raises `RelayOptionRefused`."""
    values: dict[str, Any] = {name: _parsed(BY_NAME[name], text) for name, text in typed.items() if text is not None}
    return Options(**values)


def _parsed(option: Explained, text: str) -> str | int | bool:
    match option.name:
        case name if name in _SWITCHES:
            if text not in option.words:
                raise RelayOptionRefused(f"{option.flag} takes on or off, not {text!r}.")
            return text == "on"
        case "metrics_port" if text == "off":
            return OFF
    if option.bounds is None:
        return text
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text)):
        low, high = option.bounds
        raise RelayOptionRefused(f"{option.flag} takes a number from {low} to {high}, not {text!r}.")
    return int(text)


def options_from_json(content: object) -> Options:
    """Makes options from ``content``, which `Options.chosen` returned earlier. Raises `RelayOptionRefused` if
    ``content`` is not valid."""
    if not isinstance(content, dict):
        raise RelayOptionRefused("The saved options are not a JSON object.")
    for name, value in content.items():
        kind = bool if name in _SWITCHES else int if name in BY_NAME and BY_NAME[name].bounds else str
        if name not in BY_NAME or type(value) is not kind:
            raise RelayOptionRefused(f"{name!r} is not an option, or its value is invalid.")
    return Options(**content)
