"""Addresses of relays, binary and as ``smp://`` text (smp-wire 1.1 and 1.4)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from smpchat.encoding.codec import Codec, mapped, non_empty, record, short_bytes
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.text import from_base64url, to_base64url

DEFAULT_PORT = 5223

_HOST = re.compile(r"[^:#?,;/@\[\]\s]+")
_ADDRESS = re.compile(
    r"smp://(?P<key>[A-Za-z0-9_-]+=*)(?::(?P<password>[^@\s:/]+))?@(?P<hosts>(?:\[[^\]]*\]|[^\[\]/#?:\s])+)(?::(?P<port>[0-9]{1,5}))?/?"
)


@dataclass(frozen=True, slots=True)
class SMPServer:
    """A relay: its hosts, the port as text ("" is the default one and stays so), and its certificate's fingerprint."""

    hosts: tuple[str, ...]
    port: str
    key_hash: bytes

    @property
    def port_number(self) -> int:
        """The port to connect to."""
        return int(self.port) if self.port else DEFAULT_PORT

    @property
    def is_on_loopback(self) -> bool:
        """Whether only the computer it runs on reaches it."""
        return all(map(is_loopback, self.hosts))

    def is_within(self, known: SMPServer) -> bool:
        """Whether it is the relay ``known``, and leads to no other host: a fingerprint alone is no secret."""
        return self.key_hash == known.key_hash and set(self.hosts) <= set(known.hosts)

    def __str__(self) -> str:
        return format_server(self)


@dataclass(frozen=True, slots=True)
class SMPServerAddress:
    """A relay and the password for making queues there, if it wants one."""

    server: SMPServer
    password: str | None = None


def is_loopback(host: str) -> bool:
    """Whether a host is this computer's own name or address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def format_server(address: SMPServer | SMPServerAddress) -> str:
    """``smp://FINGERPRINT[:PASSWORD]@HOST[,HOST…][:PORT]``."""
    server, password = (address, None) if isinstance(address, SMPServer) else (address.server, address.password)
    secret = f":{password}" if password else ""
    hosts = ",".join(f"[{host}]" if ":" in host else host for host in server.hosts)
    port = f":{server.port}" if server.port else ""
    return f"smp://{to_base64url(server.key_hash)}{secret}@{hosts}{port}"


def parse_server(text: str) -> SMPServerAddress:
    """Reads a relay's address. Raises `DecodeError`."""
    match = _ADDRESS.fullmatch(text.strip())
    if not match:
        raise DecodeError("smp://FINGERPRINT@HOST:PORT expected")
    key_hash = from_base64url(match["key"], "fingerprint")
    return SMPServerAddress(checked_server(match["hosts"].split(","), match["port"] or "", key_hash), match["password"])


def checked_server(hosts: Iterable[str], port: str, key_hash: bytes) -> SMPServer:
    """A relay from texts of others; IPv6 hosts may stand in brackets. Raises `DecodeError`."""
    return SMPServer(_hosts(tuple(hosts)), _port(port), key_hash)


def _hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if not hosts:
        raise DecodeError("host name expected")
    return tuple(map(_host, hosts))


def _host(text: str) -> str:
    """A name or an address; an IPv6 address may come in brackets, and goes without."""
    if _HOST.fullmatch(text) and text.isprintable():
        return text
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        IPv6Address(bare)
    except ValueError:
        raise DecodeError("host name expected") from None
    if "%" in bare:
        raise DecodeError("an address with a zone means nothing to others")
    return bare


def _port(text: str) -> str:
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
    port=mapped(_ascii("port"), _port, lambda port: port),
    key_hash=short_bytes,
)
