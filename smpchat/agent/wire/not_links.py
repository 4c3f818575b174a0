"""Errors for texts without a usable link: they say what the text is instead, and what to do."""

from __future__ import annotations

import re

from smpchat.agent.errors import LinkError
from smpchat.encoding.carried import unwrapped
from smpchat.encoding.patterns import late

_ASK = "Ask the person for their SimpleX link."

_NAME = late(
    r"(?:simplex:/*name\b.*)|[@#][\w-]{1,63}(?:\.[\w-]{1,63}){0,4}|(?:[\w-]{1,63}\.){1,4}(?:simplex|testing)", re.I
)
_RELAY = late(r"(?<![a-z])(smp|xftp|ntf)://", re.I)
_FILE = late(r"(?:simplex:/*|simplex\.chat/)file\b", re.I)
_REMOTE = late(r"(?<![a-z])xrcp:", re.I)
_NO_FRAGMENT = late(r"(?:simplex:/*|simplex\.chat/)(?:invitation|contact)/?(?:\?\S*)?#?$", re.I)
_SESSION_ID = late(r"05[0-9a-f]{64}", re.I)

_OTHERS = (
    (r"(?:t|telegram)\.(?:me|dog)/|tg:", "a Telegram link"),
    (r"signal\.(?:me|group|art)/|sgnl:", "a Signal link"),
    (r"(?:wa\.me|api\.whatsapp\.com|chat\.whatsapp\.com)/|whatsapp:", "a WhatsApp link"),
    (r"(?:matrix\.to|app\.element\.io)/|matrix:|element:", "a Matrix link"),
    (r"(?:getsession\.org|open\.getsession\.org|session\.org)/|session:", "a Session link"),
    (r"(?:discord\.gg|discord\.com|discordapp\.com)/|discord:", "a Discord link"),
    (r"threema\.id/|threema:", "a Threema link"),
    (r"(?:m\.me|messenger\.com)/|fb-messenger:", "a Messenger link"),
    (r"(?:join\.)?skype\.com/|skype:", "a Skype link"),
    (r"line\.me/|line:", "a LINE link"),
    (r"(?:u\.wechat\.com|weixin\.qq\.com)/|weixin:", "a WeChat link"),
    (r"viber:|(?:chats|invite)\.viber\.com/", "a Viber link"),
    (r"briar:", "a Briar link"),
    (r"tox:", "a Tox link"),
    (r"xmpp:", "an XMPP address"),
    (r"delta\.chat/|i\.delta\.chat/|openpgp4fpr:|dcaccount:", "a Delta Chat link"),
    (r"(?:account\.)?wire\.com/|wire:", "a Wire link"),
    (r"mailto:", "an e-mail address"),
    (r"tel:|sms:", "a phone number"),
)
_OTHER = tuple((re.compile(rf"(?<![\w.-])(?:www\.)?(?:{pattern})", re.I), name) for pattern, name in _OTHERS)
_LOOKED_AT = 4_096
"""How many characters of a text we examine to tell what it is, if it contains no link. The rest of a longer text would
not help."""


def what_it_is(text: str) -> LinkError:
    """The error for a text in which no link was found."""
    text = unwrapped(text[:_LOOKED_AT])
    if _REMOTE().search(text):
        return LinkError(
            "This link pairs two devices of one person (xrcp:). It is not a link to a person.",
            "smpchat cannot control another device or be controlled by one.",
        )
    if relay := _RELAY().search(text):
        return _relay(relay[1].lower())
    if _FILE().search(text):
        return LinkError(
            "This link leads to a file, not to a person.", "`smpchat receive --help` says how to fetch it."
        )
    if _NAME().fullmatch(text):
        return LinkError("This is a SimpleX name, and names are not supported yet.", "Ask for the link instead.")
    if _NO_FRAGMENT().search(text):
        return LinkError(
            "The link is cut off: everything after # is missing.", "Copy the whole link again, or ask for a new one."
        )
    if _SESSION_ID().fullmatch(text):
        return LinkError("This is a Session ID, not a SimpleX link.", _ASK)
    for pattern, name in _OTHER:
        if pattern.search(text):
            return LinkError(f"This is {name}, not a SimpleX link.", _ASK)
    return LinkError(
        "This is not a SimpleX connection link.",
        "Copy the whole link again: it begins with simplex:/ or https:// and contains a #.",
    )


def _relay(scheme: str) -> LinkError:
    if scheme == "smp":
        return LinkError(
            "This is the address of a relay, not a link to a person.",
            "To make your own links at this relay: `smpchat server add ADDRESS`.",
        )
    kind = "file server (xftp://)" if scheme == "xftp" else "notification server (ntf://)"
    return LinkError(f"This is the address of a {kind}, not a link to a person.", _ASK)
