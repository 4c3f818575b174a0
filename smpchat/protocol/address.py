"""Addresses of relays: of SMP relays in binary and as ``smp://`` text (smp-wire 1.1 and 1.4), and of file relays as
``xftp://`` text."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from typing import ClassVar, Self

from smpchat.encoding.codec import Codec, mapped, non_empty, record, short_bytes
from smpchat.encoding.patterns import late
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, field
from smpchat.encoding.text import bracketed, from_base64url, to_base64url

DEFAULT_PORT = 5223
DEFAULT_FILE_PORT = 443
FINGERPRINT_SIZE = 32
"""Size in bytes of a relay's fingerprint: the SHA-256 of the relay's identity certificate."""
MAX_HOSTS = 4
"""Maximum number of hosts of one relay: without a limit, an address could become very long, and trying all its hosts
could take very long."""

_HOST = late(r"[^:#?,;/@%&=\[\]\s]+")
# In this pattern, each bracket can match in only one way, so that matching takes linear time. If a bracket could match
# in two ways, a text of 24 pairs of brackets that is not an address would take six seconds, and each further pair would
# double the time.
_ADDRESS = late(
    r"(?P<scheme>smp|xftp)://(?P<key>[A-Za-z0-9_-]+=*)(?::(?P<password>[^@\s:/]+))?@(?P<hosts>(?:\[[^\]]{0,255}\]|[^\[\]/#?:\s])+)(?::(?P<port>[0-9]{1,5}))?/?"
)

_SECRET = late(r"((?:smp|xftp)://[^:@/\s]*):[^@/\s]*@")


class Server(Record):
    """A relay: its hosts, its port as text ("" means the default port), and the fingerprint of its identity
    certificate."""

    hosts: tuple[str, ...]
    port: str
    key_hash: bytes

    SCHEME: ClassVar[str]
    DEFAULT_PORT: ClassVar[int]

    @property
    def port_number(self) -> int:
        """The port to connect to."""
        # The port is stored as text, because the reference compares the texts of addresses when queues move: the
        # reference takes "" and "5223" for different ports (agent-wire trap 27).
        return int(self.port) if self.port else self.DEFAULT_PORT

    @property
    def host(self) -> str:
        """The first host, in the form for messages to the user: an IPv6 address is in brackets."""
        return bracketed(self.hosts[0])

    @property
    def authority(self) -> str:
        """The first host and the port, in the form for messages to the user: ``HOST:PORT``."""
        return f"{self.host}:{self.port_number}"

    @property
    def is_on_loopback(self) -> bool:
        """Whether the relay can be reached only from the computer on which it runs."""
        return all(map(is_loopback, self.hosts))

    def is_within(self, known: Self) -> bool:
        """Whether this is the relay ``known``: the fingerprints are equal, and every host of this relay is also a host
        of ``known``. An equal fingerprint alone proves nothing, because a fingerprint is not a secret."""
        # Compare the hosts too. A contact who knows our relay's fingerprint could write an address with this
        # fingerprint and a host of their own. If we took this address for our relay's, we would connect to that host
        # without the SOCKS proxy.
        return self.key_hash == known.key_hash and set(self.hosts) <= set(known.hosts)

    def __str__(self) -> str:
        return _written(self, None)


class SMPServer(Server):
    """An SMP relay, for messages."""

    SCHEME = "smp"
    DEFAULT_PORT = DEFAULT_PORT


class FileServer(Server):
    """A file relay, with the protocol XFTP."""

    SCHEME = "xftp"
    DEFAULT_PORT = DEFAULT_FILE_PORT  # xftp-wire trap 18


class SMPServerAddress(Record):
    """A relay, and the password for creating queues on it, if the relay needs one."""

    server: SMPServer
    password: str | None = field(default=None, repr=False)


class FileServerAddress(Record):
    """A file relay, and the password for uploading files to it, if the relay needs one.

    The password stays in the configuration: it must never be part of a file's description (xftp-wire trap 19).
    """

    server: FileServer
    password: str | None = field(default=None, repr=False)


def is_loopback(host: str) -> bool:
    """Whether a host is ``localhost`` or a loopback address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def format_server(address: Server | SMPServerAddress | FileServerAddress) -> str:
    """Write an address as ``smp://FINGERPRINT[:PASSWORD]@HOST[,HOST…][:PORT]``; for a file relay, the text begins
    with ``xftp://``."""
    if isinstance(address, Server):
        return _written(address, None)
    return _written(address.server, address.password)


def _written(server: Server, password: str | None) -> str:
    secret = f":{password}" if password else ""
    hosts = ",".join(map(bracketed, server.hosts))
    port = f":{server.port}" if server.port else ""
    return f"{server.SCHEME}://{to_base64url(server.key_hash)}{secret}@{hosts}{port}"


def masked(address: str) -> str:
    """A relay's address with ``****`` instead of its password, so that other people may see it, for example in a
    log."""
    return _SECRET().sub(r"\1:****@", address)


def parse_server(text: str) -> SMPServerAddress:
    """Read a relay's address that smpchat stored, or that is in a link. Raises `DecodeError`.

    For addresses that the user types, use `smpchat.protocol.server_text`: its errors say which part is wrong.
    """
    parts, password = _parts(text, SMPServer.SCHEME)
    return SMPServerAddress(SMPServer(*parts), password)


def parse_file_server(text: str) -> FileServerAddress:
    """Read a file relay's address that smpchat stored, or that is in a file's description. Raises `DecodeError`."""
    parts, password = _parts(text, FileServer.SCHEME)
    return FileServerAddress(FileServer(*parts), password)


def _parts(text: str, scheme: str) -> tuple[tuple[tuple[str, ...], str, bytes], str | None]:
    match = _ADDRESS().fullmatch(text.strip())
    if not match or match["scheme"] != scheme:
        raise DecodeError(f"{scheme}://FINGERPRINT@HOST:PORT expected")
    key_hash = from_base64url(match["key"], "fingerprint")
    hosts = tuple(map(checked_host, match["hosts"].split(",")))
    return (hosts, _any_port(match["port"] or ""), key_hash), match["password"]


def checked_file_server(text: str) -> FileServer:
    """Read a file relay's address from a file's description that another person wrote. Raises `DecodeError`."""
    address = parse_file_server(text)
    server = address.server
    if address.password is not None:
        raise DecodeError("a relay's password is not allowed here")
    if len(server.key_hash) != FINGERPRINT_SIZE:
        raise DecodeError("a relay's fingerprint has a wrong length")
    return FileServer(_hosts(server.hosts), checked_port(server.port), server.key_hash)


def checked_server(hosts: Iterable[str], port: str, key_hash: bytes) -> SMPServer:
    """Make an SMP relay from its hosts, port and fingerprint, which other people wrote. IPv6 hosts may be in brackets.
    Raises `DecodeError`."""
    return SMPServer(_hosts(tuple(hosts)), checked_port(port), key_hash)


def _hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if not hosts:
        raise DecodeError("host name expected")
    if len(hosts) > MAX_HOSTS:
        raise DecodeError(f"{len(hosts)} hosts, and a relay has at most {MAX_HOSTS}")
    return tuple(map(checked_host, hosts))


def checked_host(text: str) -> str:
    """Check a host: a name or an IP address. Brackets around an IPv6 address are removed. Raises `DecodeError`."""
    if _HOST().fullmatch(text) and text.isprintable():
        return text
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        IPv6Address(bare)
    except ValueError:
        raise DecodeError("host name expected") from None
    # In fe80::1%eth0, the zone eth0 is a network interface of one computer; other computers cannot use the address.
    if "%" in bare:
        raise DecodeError("an IPv6 address with a zone (%) cannot be used by other computers")
    return bare


def checked_port(text: str) -> str:
    """Check a port: 1 to 65535, or "" for the default port. Raises `DecodeError`."""
    if text.startswith("0"):
        raise DecodeError("port number from 1 to 65535 expected")
    return _any_port(text)


def _any_port(text: str) -> str:
    """Check a port, but accept port 0 and leading zeros: earlier versions of smpchat accepted such ports, so old
    profiles may contain them."""
    if text and (not text.isdecimal() or not text.isascii() or len(text) > 5 or int(text) > 65535):
        raise DecodeError("port number expected")
    return text


def _ascii(what: str) -> Codec[str]:
    def to(data: bytes) -> str:
        try:
            return data.decode("ascii")
        except UnicodeDecodeError:
            raise DecodeError(f"{what} is not ASCII") from None

    return mapped(short_bytes, to, lambda text: text.encode("ascii"))


smp_server = record(
    SMPServer,
    hosts=mapped(non_empty(_ascii("host")), _hosts, lambda hosts: hosts),
    port=mapped(_ascii("port"), checked_port, lambda port: port),
    key_hash=short_bytes,
)
