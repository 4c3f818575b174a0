"""What the user reads about a connection that can never be made (handshake.md 6)."""

from __future__ import annotations

from smpchat.agent.machines.handshake_states import Failed, Failure

FAILURE_SENTENCES = {
    Failure.LINK_USED: (
        "This invitation was already used or was deleted. Ask for a new link. If it was meant only for you, someone"
        " else may have opened it: ask another way and compare security codes."
    ),
    Failure.LINK_USED_OR_JOINED: (
        "This invitation was already used or was deleted. You have used full links at its relay: if this is the short"
        " form of one of them, write to that contact. Otherwise ask for a new link; if it was meant only for you,"
        " someone else may have opened it: ask another way and compare security codes."
    ),
    Failure.REQUEST_GONE: (
        "Whoever sent this request cannot be reached: they have given it up, or somebody else answered it. Delete the"
        " contact; they can ask again."
    ),
    Failure.NOT_REACHED: (
        "They asked through your address, and the relay that they named could not be reached for a week. Delete the"
        " contact; they can ask again."
    ),
    Failure.REPLY_REFUSED: (
        "Your contact's reply address does not accept your key: the link was changed on its way, or their side is"
        " faulty. Delete this contact and give a new link another way."
    ),
    Failure.QUEUE_REFUSED: (
        "The relay no longer has your own receiving queue for this contact. Delete the contact and connect again"
        " with a new link."
    ),
    Failure.ADDRESS_GONE: (
        "This address leads nowhere: it was deleted, or its link was changed on its way. Ask its owner for a new link."
    ),
    Failure.ADDRESS_UNUSABLE: (
        "This address cannot be used: what its relay keeps for it does not belong to the link, or is of a kind or"
        " version that this program does not know. Ask its owner for a one-time invitation instead."
    ),
    Failure.ADDRESS_USED: (
        "You used this address before, under its long link. Write to that contact, or delete it to ask again."
    ),
    Failure.NOT_A_CONTACT: "Nothing more is sent there; your messages were not sent.",
    Failure.LINK_DATA: (
        "The link is damaged, or somebody changed what it leads to. Ask for a new link from whoever made it, by"
        " another way than this one came."
    ),
    Failure.LINK_VERSIONS: "Nothing was sent, but the link is used up: ask for a new one after that.",
    Failure.NO_SHORT_LINKS: (
        "The relay of this link is too old for short links: it speaks a version of SMP below 15. Ask whoever"
        " made it for the full one."
    ),
}
"""What the user reads (handshake.md 6)."""


def failure_sentence(failed: Failed) -> str:
    """What the user reads about a connection that can never be made."""
    return f"{failed.detail} {FAILURE_SENTENCES[failed.reason]}".lstrip()
