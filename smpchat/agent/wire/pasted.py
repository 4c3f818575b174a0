"""Finds the link in text that a person pasted: a mail, a web page, a command line, a redirecting link.

Programs that pass a link on may change it. Such programs add quotes, brackets and full stops around the link, and line
breaks, quote marks and invisible characters inside it. Some programs append tracking parameters to the link, or
percent-encode it once more. This module tries several ways to undo what such programs did, and lets
`smpchat.agent.wire.links` parse each result, which is called a candidate. If several candidates are valid, the most
complete one is used, and among equally complete ones the shortest. For example, a link that
was broken over two lines is more complete than its first line alone; attaching the next sentence, too, would not make
the link more complete.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, pairwise
from urllib.parse import unquote

from smpchat.agent.errors import LinkError
from smpchat.agent.wire.links import MAX_LINK_LENGTH, ConnectionLink, InvitationLink, parse_link
from smpchat.agent.wire.not_links import what_it_is
from smpchat.agent.wire.short_links import (
    ShortContact,
    ShortInvitation,
    ShortLink,
    is_shortened,
    known_relay,
)
from smpchat.encoding.carried import visible
from smpchat.encoding.json_text import parse_json
from smpchat.encoding.patterns import late
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, replace

MAX_TEXT_LENGTH = 65_536
"""The longest text that is searched, in characters. Links have under 5,000 characters, or up to three times as many if
they are percent-encoded."""
_MAX_STARTS = 64
"""How many possible beginnings of a link are tried. A web page contains a few of them; a hostile text may contain one
in every eight characters."""
_MAX_PIECES = 256
"""The most pieces into which spaces and line breaks may have split one link. In a mail, the longest link takes 80 lines
if it is percent-encoded."""
_MAX_DECODINGS = 3
"""How many times a link may be percent-encoded, for example because one redirecting link contains another."""
_MAX_ESCAPED = MAX_LINK_LENGTH * 3

Link = ConnectionLink | ShortLink

_START = late(
    r"(?:https?|simplex)(?::|%(?:25){0,2}3a)"
    r"|(?<![a-z0-9.%@/:_-])(?://)?(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}(?=(?:/|%2f)(?:invitation|contact|[a-z])(?:/|%2f)?[#?%])"
    r"|(?<![a-z0-9.%@/_-])/?(?:invitation|contact)/?#/?\?",
    re.IGNORECASE | re.ASCII,
)
"""How a link may begin: with a scheme, with a host before a link's path, or with a link's path alone."""
_NEVER_IN_A_LINK = late(r"[^A-Za-z0-9\-._~%&=#/?:@,;+!$\[\]\s]")
_PATH = r"(?:https?:/{0,3}|simplex:/{0,3}|//?)?(?P<host>[^/?#\s]+(?=/)(?<!:))?/*"
_FULL = late(
    _PATH + r"(?:[^/?#\s]+/+){0,8}?(?P<mode>invitation|contact)/?(?:\?[^#]*)?#[/!]*\??(?P<rest>.*)", re.IGNORECASE
)
_SHORT = late(_PATH + r"(?P<letter>[a-z])/?(?:\?[^#]*)?#/?(?P<rest>.*)", re.IGNORECASE)
_AFTER = frozenset(".,;:!?])_~-/&")
"""Punctuation and marks of emphasis that may follow a link. Some of these characters may also be part of the link, so a
possible link is parsed first with these characters, then without them."""
_TRACKING = late(
    r"[?&](?:utm_[a-z_]+|fbclid|gclid|gbraid|wbraid|dclid|msclkid|yclid|twclid|ttclid|igshid|igsh|mc_[ce]id|_hsenc"
    r"|_hsmi|mkt_tok|ref_src|ref_url|s_cid|vero_id|oly_[a-z_]+_id)=[^&?#]*",
    re.IGNORECASE,
)
_ONION = late(r"[a-z2-7]{56}\.onion")
_QUOTING = late(r"^[ \t]*(?:>[ \t]?)+", re.MULTILINE)
_ENTITIES = {
    "amp": "&",
    "#38": "&",
    "#x26": "&",
    "lt": "<",
    "gt": ">",
    "quot": '"',
    "#34": '"',
    "#39": "'",
    "nbsp": " ",
}
_ENTITY = late(r"&(amp|#0{0,4}38|#x0{0,2}26|lt|gt|quot|#34|#39|nbsp);", re.IGNORECASE)
_SOFT_BREAK = late(r"[=\\][ \t]*\r?\n")
_QUOTED_PRINTABLE = late(r"=(2[1-9A-F]|[3-6][0-9A-F]|7[0-9A-E])", re.IGNORECASE)
_BACKSLASH = late(r"\\(?:u00([2-7][0-9a-f])|([!-/:-@\[-`{-~]))", re.IGNORECASE)


class _Found(Record):
    """A link that was found in the text.

    Attributes:
        score: A number that is higher for a more complete link; see `_score`.
    """

    link: Link
    score: int


def find_link(text: str) -> Link:
    """The link in a text that a person pasted. The same link several times counts as one.

    Raises:
        LinkError: The text contains no link, several different links, or a malformed link. The error says what the text
            is instead of a link, or which part of the link is malformed.
    """
    if len(text) > MAX_TEXT_LENGTH:
        raise LinkError(
            f"This text is {len(text):,} characters long; smpchat looks for a link in at most {MAX_TEXT_LENGTH:,}.",
            "Paste the link alone.",
        )
    text = visible(text)
    if not text.strip():
        raise LinkError("The link is empty.", "Paste the link that you were given.")
    found: list[_Found] = []
    error: LinkError | None = None
    for reading in _readings(text):
        here, refused = _links_in(reading)
        error = error or refused
        found = found or here
        if any(one.score for one in here):
            found = here
            break
    if not found:
        raise error or what_it_is(text)
    # The same link may have been found several times, more or less complete. After sorting by score, its most complete
    # form comes last, and the dict keeps the last one.
    different = {_same_relay(one.link): one for one in sorted(found, key=lambda one: one.score)}
    if len(different) > 1:
        raise LinkError(
            f"There are {len(different)} different links in this text.", "Paste only the link that you want to use."
        )
    [one] = different.values()
    return one.link


def _same_relay(link: Link) -> Link:
    """The link in a form that is equal for all short links to the same data at the same relay. A full link stays as it
    is."""
    if not isinstance(link, ShortInvitation | ShortContact):
        return link
    return replace(link, web=True, server=known_relay(link.server) or link.server)


# -- readings ---------------------------------------------------------------------------------------------------------


def _readings(text: str) -> Iterator[str]:
    """What the text may have been before a program changed it, the likeliest first."""
    text = _QUOTING().sub("", text)
    for _ in range(_MAX_DECODINGS):
        if "&" not in text or not _ENTITY().search(text):
            break
        text = _ENTITY().sub(_entity, text)
    yield text
    if "\\" in text:  # JSON, markdown
        yield _BACKSLASH().sub(lambda match: chr(int(match[1], 16)) if match[1] else match[2], text)
    joined = _SOFT_BREAK().sub("", text)
    if joined != text:
        yield joined
    if _QUOTED_PRINTABLE().search(joined):
        yield _QUOTED_PRINTABLE().sub(lambda match: chr(int(match[1], 16)), joined)
    lines = text.splitlines()
    if len(lines) > 1:  # a terminal breaks lines at its width, even inside a link
        width = max(map(len, lines))
        yield "".join(line if len(line) == width else f"{line}\n" for line in lines)


def _entity(match: re.Match[str]) -> str:
    name = match[1].lower()
    return _ENTITIES.get(name) or "&"


# -- candidates -------------------------------------------------------------------------------------------------------


def _links_in(text: str) -> tuple[list[_Found], LinkError | None]:
    """All links in the text, and the error for the first candidate that was refused; None if none was refused."""
    starts = [match.start() for match in islice(_START().finditer(text), _MAX_STARTS + 1)]
    found: list[_Found] = []
    error: LinkError | None = None
    for start, end in pairwise([*starts, len(text)]):
        best, refused = _best(_pieces(text[start:end]))
        error = error or refused
        if best is not None:
            found.append(best)
    return found, error


def _pieces(text: str) -> list[str]:
    """The words of the text, up to the first character that cannot be in a link."""
    foreign = _NEVER_IN_A_LINK().search(text)
    return (text[: foreign.start()] if foreign else text).split(maxsplit=_MAX_PIECES)[:_MAX_PIECES]


def _best(pieces: list[str]) -> tuple[_Found | None, LinkError | None]:
    """Tries the first piece alone, then the first two pieces joined, and so on.

    Returns the most complete link, and the error for the first candidate that was refused. The link is None if none was
    found; the error is None if no candidate was refused.
    """
    best: _Found | None = None
    error: LinkError | None = None
    joined = ""
    for piece in pieces:
        joined += piece
        if len(joined) > _MAX_ESCAPED:
            break
        for text in _without_ends(joined):
            link, refused = _read(text)
            error = error or refused
            if link is None:
                continue
            found = _Found(link, _score(link))
            if best is None or found.score > best.score:
                best = found
    return best, error


def _without_ends(text: str) -> Iterator[str]:
    yield text
    for _ in range(8):
        if not text or text[-1] not in _AFTER:
            return
        text = text[:-1]
        yield text


def _read(text: str) -> tuple[Link | None, LinkError | None]:
    """Parses ``text`` as it is, then in the spellings that percent-decoding gives, until one is a link. If none is, the
    error is about the first spelling that looks like a link."""
    error: LinkError | None = None
    for spelling in _spellings(text):
        plain = _plain(spelling)
        if plain is None:
            continue
        try:
            return parse_link(plain), None
        except LinkError as refused:
            error = error or refused
    return None, error


def _spellings(text: str) -> Iterator[str]:
    yield text
    if "%23" in text and "#" not in text:
        yield text.replace("%23", "#", 1)
    if "%" in text:
        # Without a plain #, our link may be percent-encoded inside a redirecting link: a plain & then begins the next
        # parameter of the redirecting link. With a plain #, our link is not encoded, and a plain & is a part of it.
        parts = [text] if "#" in text else [text.partition("&")[0], text]
        for part in dict.fromkeys(parts):
            for _ in range(_MAX_DECODINGS):
                decoded = unquote(part)
                if decoded == part:
                    break
                part = decoded
                yield part
    if _TRACKING().search(text):
        yield _TRACKING().sub("", text)


def _plain(text: str) -> str | None:
    """``text`` in the form in which apps write links; None if ``text`` is not shaped like a link."""
    if full := _FULL().match(text):
        return f"simplex:/{full['mode'].lower()}#/?{full['rest']}"
    if short := _SHORT().match(text):
        host, letter = short["host"], short["letter"].lower()
        keys, mark, parameters = short["rest"].partition("?")
        if not mark:  # a program added parameters with &, although the link had none
            keys, mark, parameters = keys.partition("&")
        start = f"https://{host.lower()}" if host else "simplex:"
        return f"{start}/{letter}#{keys}" + (f"?{parameters}" if mark else "")
    return None


def _score(link: Link) -> int:
    """A number that is higher for a link that contains more. If one text can be read as two links, the link that
    contains more is the complete one."""
    if isinstance(link, ShortInvitation | ShortContact):
        return int(not is_shortened(link) or known_relay(link.server) is not None)
    score = 1 + _data_score(link.client_data)
    for queue in link.queues:
        score += 1 + (queue.mode is not None) + sum(map(_host_score, queue.server.hosts))
    if isinstance(link, InvitationLink):
        score += (link.reply_key is not None) + (link.e2e.kem is not None)
    return score


def _host_score(host: str) -> int:
    return 2 if _ONION().fullmatch(host) else int("." in host[:-1] and host[-1] not in _AFTER)


def _data_score(data: str | None) -> int:
    """What the client data adds to the score of a link.

    Apps write a JSON object, or no client data at all. An incomplete object adds nothing, because it shows that a part
    of the link is missing.
    """
    if data is None:
        return 1
    try:
        return 2 if isinstance(parse_json(data.encode()), dict) else 0
    except DecodeError:
        return 0
