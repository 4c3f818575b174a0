from __future__ import annotations

import pytest

from smpchat.encoding.reader import DecodeError
from smpchat.transport.socks_address import SocksProxy, parse_proxy


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("127.0.0.1:9050", SocksProxy("127.0.0.1", 9050)),
        (" localhost:9150 ", SocksProxy("localhost", 9150)),
        ("socks5://tor:1", SocksProxy("tor", 1)),
        ("socks5h://tor:65535/", SocksProxy("tor", 65535)),
        ("[::1]:9050", SocksProxy("::1", 9050)),
    ],
)
def test_where_a_proxy_is(text: str, proxy: SocksProxy) -> None:
    assert parse_proxy(text) == proxy
    assert parse_proxy(str(proxy)) == proxy


@pytest.mark.parametrize(
    "text", ["", "9050", "host", "host:", "host:0", "host:65536", "::1:9050", "u@h:1", "http://h:1"]
)
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(DecodeError, match="HOST:PORT"):
        parse_proxy(text)
