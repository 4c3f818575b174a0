"""What carriers make of a link: mail, pages, redirectors, phones, terminals. Each form holds one link."""

from __future__ import annotations

import html
import json
import quopri
import textwrap
from collections.abc import Callable
from urllib.parse import quote

Form = Callable[[str], str]


def _in_two(link: str, between: str) -> str:
    middle = len(link) // 2
    return link[:middle] + between + link[middle:]


def _lines(link: str, width: int = 76) -> list[str]:
    return textwrap.wrap(link, width, break_long_words=True, break_on_hyphens=False)


def _quoted_printable(text: str) -> str:
    return quopri.encodestring(text.encode()).decode()


def _query(link: str, query: str) -> str:
    """A social network's parameters between path and ``#``."""
    before, _, after = link.partition("#")
    return f"{before}?{query}#{after}"


def _capital(link: str) -> str:
    """As a phone's keyboard begins a sentence."""
    return link[0].upper() + link[1:]


def _shouted(link: str) -> str:
    """Scheme and host in capitals; the rest is not the same in them."""
    scheme, slashes, rest = link.partition("://")
    if not slashes:
        return link.replace("simplex:", "SIMPLEX:", 1)
    host, slash, path = rest.partition("/")
    return f"{scheme.upper()}://{host.upper()}{slash}{path}"


def _markdown_escaped(link: str) -> str:
    return "".join(f"\\{letter}" if letter in "_#-" else letter for letter in link)


def _terminal(link: str) -> str:
    """A command as a terminal of 80 columns shows it."""
    command = f"smpchat connect '{link}' --alias alice"
    return "\n".join(command[at : at + 80] for at in range(0, len(command), 80))


ANY: dict[str, Form] = {
    "bare": lambda link: link,
    "blanks around": lambda link: f"  \t{link} \r\n",
    "no-break spaces around": lambda link: f"\u00a0{link}\u00a0",
    "angle brackets": lambda link: f"<{link}>",
    "round brackets": lambda link: f"({link})",
    "square brackets": lambda link: f"[{link}]",
    "braces": lambda link: f"{{{link}}}",
    "double quotes": lambda link: f'"{link}"',
    "single quotes": lambda link: f"'{link}'",
    "guillemets": lambda link: f"«{link}»",
    "curly quotes": lambda link: f"“{link}”",
    "German quotes": lambda link: f"„{link}“",
    "backtick": lambda link: f"`{link}`",
    "code block": lambda link: f"```\n{link}\n```",
    "bold": lambda link: f"**{link}**",
    "bold of chats": lambda link: f"*{link}*",
    "italic": lambda link: f"_{link}_",
    "bold italic": lambda link: f"__*{link}*__",
    "struck out": lambda link: f"~~{link}~~",
    "full stop": lambda link: f"Here it is: {link}.",
    "comma": lambda link: f"{link}, as promised",
    "semicolon": lambda link: f"{link}; see you",
    "colon": lambda link: f"{link}: my link",
    "exclamation mark": lambda link: f"Use {link}!",
    "question mark": lambda link: f"Did you try {link}?",
    "ellipsis": lambda link: f"{link}…",
    "bracket and full stop": lambda link: f"My link ({link}).",
    "Chinese full stop": lambda link: f"我的链接 {link}。谢谢",
    "markdown target": lambda link: f"[my address]({link})",
    "markdown target of itself": lambda link: f"[{link}]({link})",
    "markdown autolink in a list": lambda link: f"* <{link}>\n* something else",
    "markdown escapes": _markdown_escaped,
    "HTML attribute": lambda link: f'<a href="{html.escape(link)}">write to me</a>',
    "HTML attribute and text": lambda link: f'<p><a href="{html.escape(link)}">{html.escape(link)}</a></p>',
    "&amp;": lambda link: link.replace("&", "&amp;"),
    "&amp;amp;": lambda link: link.replace("&", "&amp;amp;"),
    "&#38;": lambda link: link.replace("&", "&#38;"),
    "JSON": lambda link: json.dumps({"link": link, "name": "alice"}),
    "JSON of PHP": lambda link: json.dumps({"link": link}).replace("/", "\\/").replace("&", "\\u0026"),
    "zero width space inside": lambda link: _in_two(link, "\u200b"),
    "zero width spaces everywhere": lambda link: "\u200b".join(link),
    "byte order mark": lambda link: f"\ufeff{link}",
    "soft hyphen": lambda link: _in_two(link, "\u00ad"),
    "bidi marks": lambda link: f"\u2066{link}\u2069\u200e",
    "word joiner": lambda link: _in_two(link, "\u2060"),
    "colours": lambda link: f"\x1b[1;34m{link}\x1b[0m",
    "pasted into a terminal": lambda link: f"\x1b[200~{link}\x1b[201~",
    "terminal hyperlink": lambda link: f"\x1b]8;;https://example.org\x1b\\{link}\x1b]8;;\x1b\\",
    "wrapped at 76": lambda link: "\n".join(_lines(link)),
    "wrapped at 76, CRLF": lambda link: "\r\n".join(_lines(link)),
    "wrapped at 40, indented": lambda link: "\n    ".join(_lines(link, 40)),
    "wrapped, text around": lambda link: "Hello Bob,\n\n" + "\n".join(_lines(link)) + "\n\nSee you, Alice",
    "wrapped, text right behind": lambda link: "Hello,\n" + "\n".join(_lines(link)) + "\nsee you soon",
    "quoted": lambda link: f"> {link}",
    "quoted and wrapped": lambda link: "\n".join(f"> {line}" for line in _lines(link, 74)),
    "quoted twice and wrapped": lambda link: "\n".join(f">> {line}" for line in ["Use this:", *_lines(link, 72), "Al"]),
    "a blank inside": lambda link: _in_two(link, " "),
    "a tab and a line end inside": lambda link: _in_two(link, "\t\n"),
    "quoted-printable": _quoted_printable,
    "quoted-printable mail": lambda link: _quoted_printable(f"Grüße,\n{link}\nAlice"),
    "soft line breaks": lambda link: "=\n".join(_lines(link, 75)),
    "shell continuation": lambda link: "\\\n".join(_lines(link, 70)),
    "text before": lambda link: f"To write to me, open {link}",
    "text after": lambda link: f"{link} is my link",
    "text around": lambda link: f"My page is https://example.org/#top and my link\n{link}\nBest, Alice",
    "twice": lambda link: f"{link}\n{link}",
    "twice, glued": lambda link: f"{link}{link}",
    "command": lambda link: f"smpchat connect '{link}' --alias alice",
    "command with a prompt": lambda link: f'$ smpchat -p bob connect "{link}" -m "hello you"',
    "command without quotes": lambda link: f"smpchat connect {link} --alias alice",
    "command in a terminal": _terminal,
    "command of another app": lambda link: f"/c {link}",
    "command of the chat": lambda link: f"/connect {link}",
    "capital letter": _capital,
    "scheme and host in capitals": _shouted,
    "whole link percent-encoded": lambda link: quote(link, safe=""),
    "whole link percent-encoded, lower case": lambda link: (
        quote(link, safe="").replace("%3A", "%3a").replace("%2F", "%2f")
    ),
    "whole link percent-encoded twice": lambda link: quote(quote(link, safe=""), safe=""),
    "%23": lambda link: link.replace("#", "%23", 1),
    "everything behind the path encoded once more": lambda link: (
        link.partition("#")[0] + quote("#" + link.partition("#")[2], safe="")
    ),
    "all but slashes encoded once more": lambda link: (
        link.partition("#")[0] + quote("#" + link.partition("#")[2], safe="/")
    ),
    "percent signs encoded once more": lambda link: link.replace("%", "%25"),
    "redirector": lambda link: f"https://l.example.com/l.php?u={quote(link, safe='')}&h=AT0abc&fbclid=IwAR0x",
    "redirector in a redirector": lambda link: (
        "https://a.example/?q=" + quote(f"https://b.example/?url={quote(link, safe='')}&sa=D", safe="") + "&sa=E"
    ),
    "safe links": lambda link: f"https://eur01.safelinks.example/?url={quote(link, safe='')}&data=05%7C02&reserved=0",
    "redirector that leaves colon and slashes": lambda link: (
        f"https://www.example.com/url?q={quote(link, safe=':/')}&sa=D"
    ),
    "fbclid before #": lambda link: _query(link, "fbclid=IwAR0abc"),
    "utm before #": lambda link: _query(link, "utm_source=x&utm_medium=y"),
    "utm at the end": lambda link: f"{link}{'&' if '?' in link else '?'}utm_source=x&utm_campaign=y",
    "fbclid at the end with &": lambda link: f"{link}&fbclid=IwAR0abc",
    "slash before #": lambda link: link.replace("#", "/#", 1) if "/#" not in link else link,
}
"""Forms for any link."""

SIMPLEX: dict[str, Form] = {
    "capital scheme": lambda link: link.replace("simplex:", "SIMPLEX:"),
    "two slashes": lambda link: link.replace("simplex:/", "simplex://"),
    "three slashes": lambda link: link.replace("simplex:/", "simplex:///"),
    "no slash": lambda link: link.replace("simplex:/", "simplex:"),
}
"""Forms for ``simplex:`` links."""

WEB: dict[str, Form] = {
    "http": lambda link: link.replace("https:", "http:"),
    "Http": lambda link: link.replace("https:", "Http:"),
    "HTTPS": lambda link: link.replace("https:", "HTTPS:"),
    "no scheme": lambda link: link.replace("https://", ""),
    "no scheme, in a sentence": lambda link: f"Write to me: {link.replace('https://', '')}.",
    "no scheme, two slashes": lambda link: link.replace("https:", ""),
    "no scheme, encoded": lambda link: quote(link.replace("https://", ""), safe=""),
    "one slash": lambda link: link.replace("https://", "https:/"),
}
"""Forms for ``https:`` links."""
