from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpchat.encoding.reader import DecodeError
from smpchat.encoding.text import from_base64url
from smpchat.protocol.address import (
    FileServer,
    FileServerAddress,
    SMPServer,
    SMPServerAddress,
    format_server,
    parse_server,
)
from smpchat.protocol.server_text import (
    FINGERPRINT_LENGTH,
    MAX_ADDRESS_LENGTH,
    names_file_server,
    read_file_server,
    read_server,
)

KEY = "LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI"
HASH = from_base64url(KEY)
ONION = "abcdefghij234567abcdefghij234567abcdefghij234567abcdefgh.onion"


def relay(*hosts: str, port: str = "", password: str | None = None) -> SMPServerAddress:
    return SMPServerAddress(SMPServer(hosts, port, HASH), password)


TAKEN = {
    "plain": (f"smp://{KEY}=@relay.example.org", relay("relay.example.org")),
    "without padding": (f"smp://{KEY}@relay.example.org", relay("relay.example.org")),
    "with a port": (f"smp://{KEY}=@relay.example.org:443", relay("relay.example.org", port="443")),
    "highest port": (f"smp://{KEY}=@h:65535", relay("h", port="65535")),
    "with a password": (f"smp://{KEY}=:pass-w0rd!@h", relay("h", password="pass-w0rd!")),
    "with an onion host": (f"smp://{KEY}=@h,{ONION}", relay("h", ONION)),
    "onion host alone": (f"smp://{KEY}=@{ONION}:5223", relay(ONION, port="5223")),
    "four hosts": (f"smp://{KEY}=@a,b,c,d", relay("a", "b", "c", "d")),
    "one host twice": (f"smp://{KEY}=@a,A", relay("a")),
    "IPv4": (f"smp://{KEY}=@192.0.2.1:5223", relay("192.0.2.1", port="5223")),
    "IPv6": (f"smp://{KEY}=@[2001:db8::1]:5223", relay("2001:db8::1", port="5223")),
    "IPv6 without a port": (f"smp://{KEY}=@[2001:db8::1]", relay("2001:db8::1")),
    "IPv6 in a list": (f"smp://{KEY}=@h,[::1]:1", relay("h", "::1", port="1")),
    "slash at the end": (f"smp://{KEY}=@h/", relay("h")),
    "blanks around": (f" \tsmp://{KEY}=@h\r\n", relay("h")),
    "capital scheme": (f"SMP://{KEY}=@h", relay("h")),
    "mixed scheme": (f"Smp://{KEY}=@h", relay("h")),
    "capital host": (f"smp://{KEY}=@Relay.Example.ORG", relay("relay.example.org")),
    "punycode": (f"smp://{KEY}=@xn--bcher-kva.example", relay("xn--bcher-kva.example")),
    "angle brackets": (f"<smp://{KEY}=@h>", relay("h")),
    "angle brackets around IPv6": (f"<smp://{KEY}=@[::1]>", relay("::1")),
    "quotes": (f"“smp://{KEY}=@h”", relay("h")),
    "backticks": (f"`smp://{KEY}=@h:443`", relay("h", port="443")),
    "end of a sentence": (f"smp://{KEY}=@relay.example.org.", relay("relay.example.org")),
    "zero width space": (f"smp://{KEY}\u200b=@relay\u200b.example.org\ufeff", relay("relay.example.org")),
}

REFUSED = {
    "nothing": ("", "it is empty"),
    "blanks": (" \n", "it is empty"),
    "scheme alone": ("smp://", "fingerprint is missing"),
    "host alone": ("relay.example.org", "does not begin with smp://"),
    "no scheme": (f"{KEY}=@h", "does not begin with smp://"),
    "file relay": (f"xftp://{KEY}=@h", "address of a file relay"),
    "notification server": (f"ntf://{KEY}=@h", "notification server"),
    "link": (f"simplex:/a#{KEY}?h=h", "link to a person"),
    "web address": (f"https://{KEY}=@h", "does not begin with smp://"),
    "one slash": (f"smp:/{KEY}=@h", "does not begin with smp://"),
    "two of them": (f"smp://{KEY}=@a smp://{KEY}=@b", "several"),
    "two of them, glued": (f"smp://{KEY}=@a,smp://{KEY}=@b", "several"),
    "no fingerprint": ("smp://relay.example.org", "fingerprint is missing"),
    "empty fingerprint": ("smp://@relay.example.org", "fingerprint is missing"),
    "placeholder": ("smp://FINGERPRINT@HOST", "FINGERPRINT is a placeholder"),
    "placeholder of the password": ("smp://FINGERPRINT:PASSWORD@HOST", "FINGERPRINT is a placeholder"),
    "placeholder of the host": (f"smp://{KEY}=@HOST", "HOST is a placeholder"),
    "placeholder of the port": (f"smp://{KEY}=@h:PORT", "port 'PORT' is not a number"),
    "short fingerprint": ("smp://abc@relay.example.org", "fingerprint has 3 characters"),
    "one character lost": (f"smp://{KEY[:-1]}@h", "fingerprint has 42 characters"),
    "one character too many": (f"smp://{KEY}x@h", "fingerprint has 44 characters"),
    "not canonical": (f"smp://{KEY[:-1]}J@h", "cannot end in 'J'"),
    "standard base64": (f"smp://{KEY.replace('-', '+')}@h", "should be - or _"),
    "letter that none has": (f"smp://{KEY[:-1]}!@h", "the character '!'"),
    "too much padding": (f"smp://{KEY}==@h", "more than one ="),
    "no password after the colon": (f"smp://{KEY}=:@h", "password is missing"),
    "colon in the password": (f"smp://{KEY}=:a:b@h", "password contains the character ':'"),
    "at sign in the password": (f"smp://{KEY}=:a@b@h", "password contains the character '@'"),
    "slash in the password": (f"smp://{KEY}=:a/b@h", "password contains the character '/'"),
    "blank in the password": (f"smp://{KEY}=:a b@h", "a space"),
    "umlaut in the password": (f"smp://{KEY}=:ä@h", "password contains the character 'ä'"),
    "long password": (f"smp://{KEY}=:{'x' * 256}@h", "password has 256 characters"),
    "no host": (f"smp://{KEY}=@", "host is missing"),
    "fingerprint alone": (f"smp://{KEY}=", "host after the @ is missing"),
    "empty host in a list": (f"smp://{KEY}=@a,,b", "host is missing"),
    "five hosts": (f"smp://{KEY}=@a,b,c,d,e", "5 hosts"),
    "blank in the host": (f"smp://{KEY}=@relay.exa mple.org", "a space"),
    "umlaut in the host": (f"smp://{KEY}=@bücher.example", "xn--"),
    "dot before the port": (f"smp://{KEY}=@relay.example.org.:5223", "ends with a dot"),
    "two dots": (f"smp://{KEY}=@relay..org", "not a valid name"),
    "long label": (f"smp://{KEY}=@{'a' * 64}.org", "not a valid name"),
    "no IP address": (f"smp://{KEY}=@256.1.1.1", "not an IP address"),
    "onion without a name": (f"smp://{KEY}=@.onion", "not a valid name"),
    "short onion": (f"smp://{KEY}=@abc.onion", "3 characters before .onion"),
    "old onion": (f"smp://{KEY}=@abcdefghij234567.onion", "stopped supporting in 2021"),
    "onion of other letters": (f"smp://{KEY}=@{'1' * 56}.onion", "'1' before .onion"),
    "IPv6 without brackets": (f"smp://{KEY}=@2001:db8::1:5223", "in brackets, as in"),
    "half a bracket": (f"smp://{KEY}=@[2001:db8::1", "brackets"),
    "no IPv6 address": (f"smp://{KEY}=@[2001:db8]:5223", "not an IPv6 address"),
    "zone": (f"smp://{KEY}=@[fe80::1%eth0]", "zone"),
    "no port after the colon": (f"smp://{KEY}=@h:/", "port is missing"),
    "port 0": (f"smp://{KEY}=@h:0", "port is 0"),
    "port of five zeros": (f"smp://{KEY}=@h:00000", "port is 00000"),
    "leading zero": (f"smp://{KEY}=@h:05223", "begins with a zero"),
    "port above the last": (f"smp://{KEY}=@h:65536", "port is 65536"),
    "port of letters": (f"smp://{KEY}=@h:x", "not a number"),
    "port of other digits": (f"smp://{KEY}=@h:٥٢", "not a number"),
    "port in the middle of the list": (f"smp://{KEY}=@a:443,b", "in the middle of the list"),
    "path": (f"smp://{KEY}=@h/path", "'/path' after its host"),
    "query": (f"smp://{KEY}=@h?x=1", "after its host"),
    "fragment": (f"smp://{KEY}=@h#x", "after its host"),
    "too long": (f"smp://{KEY}=@" + "h" * MAX_ADDRESS_LENGTH, "characters long"),
}


@pytest.mark.parametrize(("text", "address"), TAKEN.values(), ids=TAKEN.keys())
def test_taken(text: str, address: SMPServerAddress) -> None:
    assert read_server(text) == address
    assert parse_server(format_server(address)) == address, "it is written down in this form"


@pytest.mark.parametrize(("text", "part"), REFUSED.values(), ids=REFUSED.keys())
def test_the_part_that_is_wrong_is_named(text: str, part: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read_server(text)
    assert part in caught.value.what
    assert len(caught.value.what) < 160
    assert "pass" not in caught.value.what.lower() or "password" in caught.value.what


@pytest.mark.parametrize(("text", "address"), TAKEN.values(), ids=TAKEN.keys())
def test_a_file_relay_is_read_by_the_same_rules(text: str, address: SMPServerAddress) -> None:
    server, other = address.server, text.replace("smp:", "xftp:").replace("SMP:", "XFTP:").replace("Smp:", "Xftp:")
    found = read_file_server(other)
    assert found == FileServerAddress(FileServer(server.hosts, server.port, server.key_hash), address.password)
    assert names_file_server(other) and not names_file_server(text)


@pytest.mark.parametrize(("text", "part"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_wrong_with_a_file_relay_is_named(text: str, part: str) -> None:
    other = {"xftp:/": "smp:/", "smp:/": "xftp:/"}
    swapped = re.sub(r"(xftp|smp):/", lambda found: other[found[0]], text)
    with pytest.raises(DecodeError) as caught:
        read_file_server(swapped)
    expected = part.replace("address of a file relay", "address of a message relay").replace("smp://", "xftp://")
    assert expected in caught.value.what


def test_an_address_cut_anywhere_in_its_fingerprint_is_refused() -> None:
    for length in range(FINGERPRINT_LENGTH):
        with pytest.raises(DecodeError):
            read_server(f"smp://{KEY[:length]}@relay.example.org")


@given(
    st.one_of(
        st.text(max_size=200), st.text(alphabet="smp:/@[].,AB=\n\u200b", max_size=60).map(lambda t: f"smp://{KEY}@{t}")
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        address = read_server(text)
    except DecodeError as error:
        assert error.what and not error.what.endswith(".")
        return
    assert read_server(format_server(address)) == address


@pytest.mark.parametrize("filling", ["[", "[]", "smp://", ",", ":", "@", "=", ".", "\u200b", "\x1b[", "<", "a b"])
def test_a_hostile_text_takes_no_longer_than_another(filling: str) -> None:
    began = time.process_time()
    with pytest.raises(DecodeError):
        read_server(f"smp://{KEY}@" + filling * (MAX_ADDRESS_LENGTH // len(filling)))
    assert time.process_time() - began < 0.1
