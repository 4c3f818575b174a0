"""Reads relay addresses that the user typed. Each part is checked, and errors say which part is wrong and why.

An address that can never work is refused: otherwise it would be stored, and every later command would fail.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from smpchat.encoding.carried import unwrapped, visible
from smpchat.encoding.patterns import late
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.text import from_base64url, to_base64url
from smpchat.protocol.address import (
    FINGERPRINT_SIZE,
    MAX_HOSTS,
    FileServer,
    FileServerAddress,
    SMPServer,
    SMPServerAddress,
)

MAX_ADDRESS_LENGTH = 2_048
"""Maximum length of an address, in characters; even an address with four host names and a password is shorter."""
FINGERPRINT_LENGTH = 43
"""Number of characters in a fingerprint, which is written as base64url without padding."""
_MAX_PASSWORD, _MAX_NAME, _MAX_LABEL = 255, 253, 63
_ONION_LENGTH, _OLD_ONION_LENGTH = 56, 16

_SCHEME = late(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_STARTS = {scheme: late(rf"{scheme}://", re.IGNORECASE) for scheme in (SMPServer.SCHEME, FileServer.SCHEME)}
_KINDS = {"smp": "message relay", "xftp": "file relay", "ntf": "notification server"}
_LINK = "it is a link to a person, for `smpchat connect`"
_SHOWN = 40
"""If a part of an address is wrong, the error quotes at most this many characters of this part."""


def read_server(text: str) -> SMPServerAddress:
    """Read an address of the form ``smp://FINGERPRINT[:PASSWORD]@HOST[,HOST…][:PORT]``. The scheme ``smp`` may be in
    upper or lower case.

    Quotes, brackets and a full stop around the address are dropped. Invisible characters are dropped anywhere.

    Raises:
        DecodeError: The address is wrong. `DecodeError.what` says which part is wrong and why, in words to be shown
            after a colon.
    """
    (hosts, port, key_hash), password = _read(text, SMPServer.SCHEME)
    return SMPServerAddress(SMPServer(hosts, port, key_hash), password)


def read_file_server(text: str) -> FileServerAddress:
    """Read a file relay's address, as `read_server` does; the scheme is ``xftp``. Raises `DecodeError`."""
    (hosts, port, key_hash), password = _read(text, FileServer.SCHEME)
    return FileServerAddress(FileServer(hosts, port, key_hash), password)


def names_file_server(text: str) -> bool:
    """Whether a text is meant to be the address of a file relay, even if something in it is wrong."""
    return _STARTS[FileServer.SCHEME]().match(unwrapped(visible(text[:MAX_ADDRESS_LENGTH]))) is not None


def _read(text: str, scheme: str) -> tuple[tuple[tuple[str, ...], str, bytes], str | None]:
    start = _STARTS[scheme]()
    if len(text) > MAX_ADDRESS_LENGTH:
        raise DecodeError(f"it is {len(text):,} characters long, and the limit is {MAX_ADDRESS_LENGTH:,}")
    text = unwrapped(visible(text))
    if not text:
        raise DecodeError("it is empty")
    if len({unwrapped(part) for part in start.split(text)[1:]}) > 1:
        raise DecodeError("there are several addresses; give one at a time")
    if re.search(r"\s", text):
        raise DecodeError("it contains a space or line break")
    if not start.match(text):
        raise DecodeError(_without_scheme(text, scheme))
    named, at, place = text[len(f"{scheme}://") :].rpartition("@")
    if not at:
        missing = "host after the @ is missing" if _like_fingerprint(place) else "fingerprint is missing"
        raise DecodeError(f"its {missing}, as in {scheme}://FINGERPRINT@HOST")
    fingerprint, colon, password = named.partition(":")
    key_hash = _fingerprint(fingerprint, scheme)
    _check_password(password, scheme, given=bool(colon))
    hosts, port = _place(place, scheme)
    return (hosts, port, key_hash), password if colon else None


def _without_scheme(text: str, scheme: str) -> str:
    found = _SCHEME().match(text)
    given = found[1].lower() if found else ""
    if given == "simplex":
        return _LINK
    if given in _KINDS and given != scheme:
        return f"it is the address of a {_KINDS[given]} ({given}://), and a {_KINDS[scheme]} ({scheme}://) is needed"
    return f"it does not begin with {scheme}://"


def _like_fingerprint(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_-]{40,}=*", text) is not None


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def _fingerprint(text: str, scheme: str) -> bytes:
    body = text.rstrip("=")
    if not body:
        raise DecodeError(f"its fingerprint is missing, as in {scheme}://FINGERPRINT@HOST")
    if body == "FINGERPRINT":
        raise DecodeError(
            "FINGERPRINT is a placeholder: write the relay's own fingerprint there, 43 characters that its operator"
            " publishes"
        )
    if "+" in body or "/" in body:
        raise DecodeError("its fingerprint contains + or /, which should be - or _ (base64url)")
    if wrong := re.search(r"[^A-Za-z0-9_-]", body):
        raise DecodeError(
            f"its fingerprint contains the character {wrong[0]!r}; only letters, digits, - and _ are allowed"
        )
    if len(body) != FINGERPRINT_LENGTH:
        raise DecodeError(f"its fingerprint has {len(body)} characters instead of {FINGERPRINT_LENGTH}")
    if len(text) > FINGERPRINT_LENGTH + 1:
        raise DecodeError("its fingerprint ends in more than one =")
    key_hash = from_base64url(body, "fingerprint")
    if len(key_hash) != FINGERPRINT_SIZE or to_base64url(key_hash, padding=False) != body:
        # 43 characters of base64url have two bits more than a fingerprint's 32 bytes: the last two bits must be zero
        raise DecodeError(f"its fingerprint cannot end in {body[-1]!r}: a character is wrong or missing")
    return key_hash


def _check_password(password: str, scheme: str, *, given: bool) -> None:
    if not given:
        return
    if not password:
        raise DecodeError(f"its password is missing after the colon, as in {scheme}://FINGERPRINT:PASSWORD@HOST")
    if wrong := re.search(r"[@:/]|[^!-~]", password):
        raise DecodeError(f"its password contains the character {wrong[0]!r}, which is not allowed")
    if len(password) > _MAX_PASSWORD:
        raise DecodeError(f"its password has {len(password)} characters, and the limit is {_MAX_PASSWORD}")


# -- hosts and port ---------------------------------------------------------------------------------------------------


def _place(text: str, scheme: str) -> tuple[tuple[str, ...], str]:
    text = text.removesuffix("/")
    if extra := re.search(r"[/?#\\].*", text):
        raise DecodeError(f"it has {_quoted(extra[0])} after its host, where only a port is allowed")
    *others, last = text.split(",")
    hosts = []
    for part in others:
        host, port = _split_port(part)
        if port is not None:
            raise DecodeError(
                "its port is in the middle of the list of hosts; it belongs at the end, after the last host"
            )
        hosts.append(_host(host, scheme))
    host, port = _split_port(last)
    hosts.append(_host(host, scheme))
    if len(hosts) > MAX_HOSTS:
        raise DecodeError(f"it has {len(hosts)} hosts, and the limit is {MAX_HOSTS}")
    return tuple(dict.fromkeys(hosts)), "" if port is None else _port(port)


def _split_port(text: str) -> tuple[str, str | None]:
    """Split ``text`` at the colon into host and port, without checking them. The port is None if there is no
    colon."""
    if text.startswith("["):
        inside, bracket, rest = text.partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise DecodeError(f"the brackets of its host {_quoted(text)} do not match")
        return inside + bracket, rest[1:] if rest else None
    if text.count(":") > 1:
        raise DecodeError(
            f"its host {_quoted(text)} has too many colons; write an IPv6 address in brackets, as in [::1]"
        )
    host, colon, port = text.partition(":")
    return host, port if colon else None


def _port(text: str) -> str:
    if not text:
        raise DecodeError("its port is missing after the colon")
    if not (text.isascii() and text.isdecimal()):
        raise DecodeError(f"its port {_quoted(text)} is not a number")
    if text.startswith("0") and text.strip("0"):
        raise DecodeError(f"its port {_quoted(text)} begins with a zero")
    if len(text) > 5 or not 0 < int(text) < 65536:
        raise DecodeError(f"its port is {_shortened(text)}; a port is a number from 1 to 65535")
    return text


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _host(text: str, scheme: str) -> str:
    if not text:
        raise DecodeError(f"its host is missing, as in {scheme}://FINGERPRINT@HOST")
    if text == "HOST":
        raise DecodeError("HOST is a placeholder: write the relay's own name there, such as relay.example.org")
    if text.startswith("["):
        return _ipv6(text[1:-1])
    host = text.lower()
    if wrong := re.search(r"[^a-z0-9._-]", host):
        other = ": write the host as xn--…" if not wrong[0].isascii() else ""
        raise DecodeError(f"its host {_quoted(text)} contains the character {wrong[0]!r}, which is not allowed{other}")
    if host.endswith("."):
        raise DecodeError(f"its host {_quoted(text)} ends with a dot")
    labels = host.split(".")
    if len(host) > _MAX_NAME or not all(0 < len(label) <= _MAX_LABEL for label in labels):
        raise DecodeError(f"its host {_quoted(text)} is not a valid name: a part between two dots is empty or too long")
    if labels[-1] == "onion":
        return _onion(host, labels)
    if labels[-1].isdecimal():
        return _ipv4(host)
    return host


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise DecodeError(f"its host {_quoted(text)} is not an IP address") from None


def _ipv6(text: str) -> str:
    if "%" in text:
        raise DecodeError(f"its host {_quoted(text)} has a zone (%), which other computers do not understand")
    try:
        IPv6Address(text)
    except ValueError:
        raise DecodeError(f"its host [{_shortened(text)}] is not an IPv6 address") from None
    return text


def _onion(host: str, labels: list[str]) -> str:
    name = labels[-2] if len(labels) > 1 else ""
    if len(name) == _OLD_ONION_LENGTH:
        raise DecodeError(f"its host {host} is an old (version 2) onion address, which Tor stopped supporting in 2021")
    if len(name) != _ONION_LENGTH:
        raise DecodeError(
            f"its host {_quoted(host)} has {len(name)} characters before .onion instead of {_ONION_LENGTH}"
        )
    if wrong := re.search(r"[^a-z2-7]", name):
        raise DecodeError(f"its host contains the character {wrong[0]!r} before .onion; only a-z and 2-7 are allowed")
    return host
