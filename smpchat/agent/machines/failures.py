"""What the user reads about a connection that can never be made."""

from __future__ import annotations

from smpchat.agent.machines.handshake_states import Failed, Failure

FAILURE_SENTENCES = {
    Failure.LINK_USED: (
        "This invitation was already used or was deleted. Ask for a new link. If it was meant only for you,"
        " someone else may have opened it: ask over another channel, and compare security codes afterwards."
    ),
    Failure.LINK_USED_OR_JOINED: (
        "This invitation was already used or was deleted. You have used full links at the same relay: if this is"
        " the short form of one of them, write to that contact. Otherwise ask for a new link. If it was meant"
        " only for you, someone else may have opened it: ask over another channel, and compare security codes"
        " afterwards."
    ),
    Failure.REQUEST_GONE: (
        "The person who sent this request can no longer be reached: they withdrew the request, or the request"
        " was answered elsewhere, for example by a copy of this profile. Delete the contact; they can send a new"
        " request."
    ),
    Failure.NOT_REACHED: (
        "The relay that this person's request names could not be reached for a week. Delete the contact; they can"
        " send a new request."
    ),
    Failure.REPLY_REFUSED: (
        "You cannot write to this contact: the queue for your messages does not accept your key. The link was changed"
        " on its way, or your contact's app is faulty. Delete this contact, and send a new link over another channel."
    ),
    Failure.QUEUE_REFUSED: (
        "The relay no longer has your receiving queue for this contact. Delete the contact and connect again with"
        " a new link."
    ),
    Failure.ADDRESS_GONE: (
        "This address does not exist: it was deleted, or its link was changed on its way. Ask its owner for a new link."
    ),
    Failure.ADDRESS_UNUSABLE: (
        "This address cannot be used: the data at its relay does not match the link, or this smpchat does not"
        " know its kind or version. Ask its owner for a one-time invitation instead."
    ),
    Failure.ADDRESS_USED: (
        "You have already used the full link of this address. Write to that contact, or delete the contact to"
        " send a new request."
    ),
    Failure.NOT_A_CONTACT: "Your messages were not sent, and smpchat will send nothing more.",
    Failure.LINK_DATA: (
        "The link is damaged, or someone changed the data at its relay. Ask for a new link, over another channel."
    ),
    Failure.LINK_VERSIONS: "Nothing was sent, but the link is used up: after the upgrade, ask for a new link.",
    Failure.NO_SHORT_LINKS: (
        "The relay of this link is too old for short links: its SMP version is below 15. Ask the person who made"
        " the link for the full link."
    ),
}
"""For each reason, what the user reads about a failed connection. For two of the reasons, the sentence in
`Failed.detail` comes before this text."""


def failure_sentence(failed: Failed) -> str:
    """What the user reads about a failed connection: the detail, if there is one, then the text for the reason."""
    return f"{failed.detail} {FAILURE_SENTENCES[failed.reason]}".lstrip()
