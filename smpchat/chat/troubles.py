"""Sentences for the user about a relay that cannot be used at the moment: for each kind of trouble, what happened and
what to do.

The same cause gives the same sentence in every command. The exit codes of commands are in `smpchat.cli.errors`.
"""

from __future__ import annotations

from smpchat.agent.store.obstacles import Obstacle
from smpchat.client.trouble import Trouble

HINTS: dict[Trouble, str] = {
    Trouble.UNREACHABLE: "Check that this computer is online. If it is, the relay is down.",
    Trouble.NAME_NOT_FOUND: (
        "Check that this computer is online. If it is, the relay's address is wrong or no longer in use."
    ),
    Trouble.ADDRESS: (
        "Ask the relay's operator for its address. Onion addresses need Tor: `smpchat server socks 127.0.0.1:9050`."
    ),
    Trouble.OWN_RELAY_STOPPED: "Start the relay with `smpchat relay start`.",
    Trouble.OWN_RELAY_FAILED: "Look at relay.log in the relay's folder, or run `smpchat relay start` to see why.",
    Trouble.NOT_PUBLIC: (
        "The address may be a trick to reach computers in your network. If you trust the person who named this relay,"
        " `smpchat server strangers any` allows such relays for everyone."
    ),
    Trouble.PROXY: "Start the proxy, or stop using it with `smpchat server socks off`.",
    Trouble.PRIVATE_ROUTING: (
        "Add a relay that forwards messages: `smpchat server add ADDRESS`. Or turn private routing off: `smpchat"
        " server private-routing off`."
    ),
    Trouble.FINGERPRINT: (
        "Someone else may be answering in the relay's place. Check the relay's address with its operator."
    ),
    Trouble.CERTIFICATE_TIME: (
        "Check this computer's clock. If the clock is right, the relay's operator must renew the certificate."
    ),
    Trouble.VERSION: (
        "If smpchat is older than the relay, upgrade smpchat. Otherwise ask the relay's operator to upgrade, or choose"
        " another relay."
    ),
    Trouble.PASSWORD: (
        "Ask the relay's operator for the address with the password and add that address, or choose another relay."
    ),
    Trouble.FULL_QUEUE: "Nothing is lost: your messages are sent automatically as soon as there is room.",
    Trouble.RELAY_FULL: (
        "smpchat tries again automatically. Or choose another relay with `smpchat server use ADDRESS`."
    ),
    Trouble.CANNOT_STORE: "smpchat tries again automatically. If this lasts, tell the relay's operator.",
    Trouble.BLOCKED: "Ask your contact for a link at another relay.",
    Trouble.FAULTY: "Tell the relay's operator, or choose another relay with `smpchat server use ADDRESS`.",
    Trouble.GONE: "Ask your contact to send the file again.",
    Trouble.NOT_UPLOADED: "Ask your contact to send the file again.",
    Trouble.DAMAGED: "Ask your contact to send the file again.",
    Trouble.CANNOT_WRITE: "Free some disk space; smpchat then continues automatically.",
    Trouble.FILE_LOST: "Send the file again, or ask your contact to send it again.",
    Trouble.TIME_UP: "Send the file again, or ask your contact to send it again.",
}
"""For each kind of trouble, what the user can do about it, or who can help."""


def sentence(obstacle: Obstacle, alias: str | None = None) -> str:
    """Says in a sentence why a connection does not make progress. ``alias``: the contact to whom we cannot send; None:
    the sentence says *your contact* instead."""
    name = alias or "your contact"
    match obstacle.kind:
        case Trouble.FULL_QUEUE:
            # A relay sends the same error for a full queue and for a full disk.
            return f"The relay accepts no more messages for {name}: too many are waiting there, or the relay is full."
        case Trouble.RELAY_FULL:
            return (
                f"The relay accepts nothing new at the moment: it is full, or got too many requests ({obstacle.error})."
            )
        case Trouble.CANNOT_STORE:
            return f"The relay has a storage problem ({obstacle.error})."
        case Trouble.PASSWORD:
            return f"The relay refuses a new queue: it needs a password, or a different one ({obstacle.error})."
        case Trouble.BLOCKED:
            return f"The relay's operator has blocked this queue ({obstacle.error})."
    text = obstacle.error.rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def hint(obstacle: Obstacle) -> str:
    """What the user can do about this obstacle, or who can help."""
    return HINTS[obstacle.kind]


_FILE_COMES = {
    Trouble.GONE: "The file is no longer available: it has expired, or {alias} deleted it.",
    Trouble.NOT_UPLOADED: "The file is not complete at its relay: {alias} has not finished uploading it.",
    Trouble.DAMAGED: "The file does not match what {alias} announced, so nothing of it was saved.",
    Trouble.BLOCKED: "The operator of the relay has blocked this file.",
    Trouble.CANNOT_WRITE: "The file could not be saved: the disk is full, or the folder cannot be written.",
    Trouble.TIME_UP: "The file did not arrive within two days, after which relays delete files.",
    Trouble.FILE_LOST: "The parts of the file that had arrived were removed from this computer.",
}
_FILE_GOES = {
    Trouble.PASSWORD: "No file relay accepted the file: each needs a password, or accepts no new files.",
    Trouble.RELAY_FULL: "No file relay accepted the file: all are full.",
    Trouble.CANNOT_STORE: "The file relay could not store the file.",
    Trouble.BLOCKED: "The operator of the relay has blocked this file.",
    Trouble.GONE: "The file relay deleted the file before the upload was complete.",
    Trouble.DAMAGED: "The file was changed on its way to the relay.",
    Trouble.TIME_UP: "The file could not be uploaded within a day.",
    Trouble.FILE_LOST: "The encrypted copy of the file was removed from this computer before it was sent.",
    Trouble.CANNOT_WRITE: "This computer's disk could not be read or written.",
}


def of_file(kind: Trouble, alias: str, *, sending: bool) -> str:
    """The reason why a file will never arrive, in a sentence. ``sending``: whether we send the file; otherwise the
    contact sends it."""
    known = (_FILE_GOES if sending else _FILE_COMES).get(kind)
    if known is not None:
        return known.format(alias=alias)
    return (
        f"The file relay could not be used ({kind})."
        if sending
        else f"The relay with the file could not be used ({kind})."
    )
