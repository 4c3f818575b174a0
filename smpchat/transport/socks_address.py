"""The address of a SOCKS5 proxy. It has a module of its own, because the module that connects through a proxy takes
long to import."""

from __future__ import annotations

from smpchat.encoding.patterns import late
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record

_PROXY = late(r"(?:socks5h?://)?(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s\[\]:/@]+)):(?P<port>[0-9]{1,5})/?")


class SocksProxy(Record):
    """The host and port of a SOCKS5 proxy."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_proxy(text: str) -> SocksProxy:
    """Read ``HOST:PORT``, with or without ``socks5://`` before it. Raises `DecodeError`."""
    match = _PROXY().fullmatch(text.strip())
    if not match or not 0 < int(match["port"]) < 65536:
        raise DecodeError("HOST:PORT of a SOCKS5 proxy expected")
    return SocksProxy(match["v6"] or match["host"], int(match["port"]))
