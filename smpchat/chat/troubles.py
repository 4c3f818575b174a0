"""What a person reads about a relay that is of no use just now: one table, from the kind of trouble to two sentences.

The cause chooses the sentence, whichever command meets it. What a command ends with is in `smpchat.cli.errors`.
"""

from __future__ import annotations

from smpchat.agent.store.obstacles import Obstacle
from smpchat.client.trouble import Trouble

HINTS: dict[Trouble, str] = {
    Trouble.UNREACHABLE: "Check that this computer is online; if it is, the relay is down.",
    Trouble.NAME_NOT_FOUND: "Check that this computer is online; if it is, the relay's address is wrong or out of use.",
    Trouble.ADDRESS: (
        "Ask the person who runs the relay for its address."
        " Onion addresses need Tor: `smpchat server socks 127.0.0.1:9050`."
    ),
    Trouble.OWN_RELAY_STOPPED: "Start it with `smpchat relay start`.",
    Trouble.OWN_RELAY_FAILED: "Try `smpchat relay start`: it says more, and so does relay.log in the relay's folder.",
    Trouble.NOT_PUBLIC: (
        "It may be a trick to reach what is in your network. If you know who named it,"
        " `smpchat server strangers any` lets everybody name such relays."
    ),
    Trouble.PROXY: "Start the proxy, or stop using it with `smpchat server socks off`.",
    Trouble.PRIVATE_ROUTING: (
        "Add a relay that forwards with `smpchat server add ADDRESS`, or go without with"
        " `smpchat server private-routing off`."
    ),
    Trouble.FINGERPRINT: (
        "Someone else may be answering in its place. Check the relay's address with the person who runs it."
    ),
    Trouble.CERTIFICATE_TIME: (
        "Check this computer's clock. If it is right, the person who runs the relay must renew its certificate."
    ),
    Trouble.VERSION: "Upgrade the older of the two, smpchat or the relay; or choose another relay.",
    Trouble.PASSWORD: (
        "Ask the person who runs the relay for the address with its password, and add that; or choose another relay."
    ),
    Trouble.FULL_QUEUE: "Nothing is lost: it is sent by itself as soon as there is room.",
    Trouble.RELAY_FULL: "It is tried again by itself; or choose another relay with `smpchat server use ADDRESS`.",
    Trouble.CANNOT_STORE: "It is tried again by itself. If this lasts, tell the person who runs the relay.",
    Trouble.BLOCKED: "Ask your contact for a link at another relay.",
    Trouble.FAULTY: "Tell the person who runs the relay, or choose another with `smpchat server use ADDRESS`.",
    Trouble.GONE: "Ask your contact to send the file again.",
    Trouble.NOT_UPLOADED: "Ask your contact to send the file again.",
    Trouble.DAMAGED: "Ask your contact to send the file again.",
    Trouble.CANNOT_WRITE: "Make room on the disk: it goes on by itself.",
    Trouble.FILE_LOST: "Send the file again.",
    Trouble.TIME_UP: "Send the file again, or ask your contact to.",
}
"""What to do, or whose move it is."""


def sentence(obstacle: Obstacle, alias: str | None = None) -> str:
    """What happened. ``alias``: of the contact that waits because of it, where there is one."""
    name = alias or "your contact"
    match obstacle.kind:
        case Trouble.FULL_QUEUE:
            # A relay whose disk is full says the same word as one whose queue is.
            return f"The relay takes no more messages for {name}: too many wait there unread, or it is full."
        case Trouble.RELAY_FULL:
            return f"The relay takes nothing new for now: it is full, or was asked for too much ({obstacle.error})."
        case Trouble.CANNOT_STORE:
            return f"The relay could not store it ({obstacle.error})."
        case Trouble.PASSWORD:
            return f"The relay lets you make no queue: it wants a password, or another one ({obstacle.error})."
        case Trouble.BLOCKED:
            return f"The relay's operator has blocked this queue ({obstacle.error})."
    text = obstacle.error.rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def hint(obstacle: Obstacle) -> str:
    """What to do about it."""
    return HINTS[obstacle.kind]
