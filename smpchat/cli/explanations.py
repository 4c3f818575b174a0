"""What `smpchat explain` says about each exit code, and about each state of a connection or message. The states of
groups and their members are in `group_topics`."""

from __future__ import annotations

from collections.abc import Iterator

from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.group_topics import GROUP_TOPICS
from smpchat.cli.topic import Kind, Mover, Topic
from smpchat.encoding.record import Record, field


class _Exit(Record):
    """What `smpchat explain` says about an exit code, in addition to the title and meaning in `ExitStatus`. The
    fields are those of `Topic`."""

    happened: str
    moves: tuple[tuple[Mover, str], ...]
    commands: tuple[tuple[str, str], ...]
    causes: tuple[str, ...] = field(default=())


_EXITS = {
    ExitStatus.OK: _Exit(
        "The command succeeded. Some things may still take time: a message can be pending, or a contact not"
        " connected yet.",
        ((Mover.NOBODY, "You need not do anything."),),
        (("smpchat status", "what is still waiting"),),
    ),
    ExitStatus.INPUT: _Exit(
        "The command was refused, or failed on this computer. The error's first sentence says what is wrong, the"
        " second what to do.",
        ((Mover.YOU, "Fix what the error names, then run the command again. Waiting does not help."),),
        (
            ("smpchat COMMAND --help", "the command's arguments"),
            ("smpchat contacts", "your contacts' aliases"),
            ("smpchat doctor", "whether something is wrong with this installation"),
            ("smpchat -v COMMAND", "details, for a bug report"),
        ),
        (
            "An alias or number that does not exist, or a new alias that is already in use.",
            "A link that was cut off when copied, that is your own, or that you have already used.",
            "A text that is too long for one message.",
            "A new message to a contact who has removed you: you need a new link from them.",
            "A full disk, or a folder that does not belong to you.",
            "The program of `listen --exec` failed, or a required check of `doctor` failed.",
        ),
    ),
    ExitStatus.USAGE: _Exit(
        "The command line was not understood, so nothing was done.",
        ((Mover.YOU, "Correct the command line."),),
        (
            ("smpchat --help", "all commands"),
            ("smpchat COMMAND --help", "one command's arguments, with an example"),
            ("smpchat send WHO -- TEXT", "send a text that begins with -"),
        ),
        (
            "A misspelled command or option, or a missing argument.",
            "A value that an option never takes, such as 0 for `listen --count`.",
            "A link without quotes: & and ? have a special meaning in the shell.",
        ),
    ),
    ExitStatus.NETWORK: _Exit(
        "A relay did not answer in time, or could not do what was asked. Nothing is lost: joins, messages and"
        " changes are saved here until a relay has them.",
        (
            (
                Mover.NOBODY,
                ("Every command that goes online tries again. `listen` and `chat` stay online and keep trying."),
            ),
            (Mover.YOU, "If this computer is offline, or the embedded relay is stopped, fix that."),
            (Mover.OPERATOR, "If the relay is down for everyone, only its operator can restart it."),
        ),
        (
            ("smpchat status", "which relay, and when smpchat tries it next"),
            ("smpchat server test", "test your relays step by step, with times"),
            ("smpchat relay start", "start the embedded relay, if it was stopped"),
            ("smpchat listen", "stay online until everything is sent"),
            ("smpchat server use simplex", "use public relays for new invitations (contacts keep theirs)"),
        ),
        (
            "This computer has no network, or a network that allows only web traffic (try `--transport auto`).",
            "You stopped the embedded relay with `smpchat relay stop`.",
            "A contact runs their own relay, and it is off.",
            "The proxy set with `smpchat server socks` is not running.",
        ),
    ),
    ExitStatus.REFUSED: _Exit(
        "Trying again does not help.",
        (
            (Mover.CONTACT, "They make a new link with `smpchat invite`, and send it to you."),
            (
                Mover.YOU,
                (
                    "Ask them for a new link. If the old one was meant only for you, ask over another channel:"
                    " someone else may have opened it."
                ),
            ),
        ),
        (
            ("smpchat status WHO", "the reason"),
            ("smpchat connect LINK --alias WHO", "open the new link (you can use the same alias)"),
            ("smpchat verify WHO", "compare security codes afterwards"),
            ("smpchat delete WHO", "delete the failed contact"),
        ),
        (
            "The link was for one person, and someone has already used it.",
            "The person who made the link cancelled it, or deleted the address.",
            "The relay deleted the queue.",
            "The file is no longer at its relays, or the message with the file was deleted.",
            "The connection failed, or the contact removed you, while a message was waiting: it will never arrive.",
        ),
    ),
    ExitStatus.VERIFICATION: _Exit(
        "A signature, fingerprint or code is wrong. The data was neither shown nor stored.",
        (
            (
                Mover.YOU,
                "Do not write more until you know why. If it concerns a contact, ask them over another channel.",
            ),
            (
                Mover.CONTACT,
                "If a link is wrong, they make a new one. If a security code differs, they read theirs to you again.",
            ),
            (Mover.OPERATOR, "If a relay's fingerprint is wrong, its operator can tell you the right address."),
        ),
        (
            ("smpchat verify WHO", "your security code, to compare over a call"),
            ("smpchat server list", "your relays' addresses with their fingerprints"),
            ("smpchat delete WHO", "if the codes differ; then connect again with a link sent over another channel"),
        ),
        (
            "The security code was mistyped, or one of you has renewed the keys since.",
            "The link, or its data at the relay, was changed.",
            "The relay was set up again, or someone else is answering in its place.",
            "An exported file was cut off or changed when copied.",
        ),
    ),
    ExitStatus.TIMEOUT: _Exit(
        "The time limit ended before everything was done. Nothing failed and nothing is lost.",
        (
            (Mover.CONTACT, "They come online and fetch what is waiting at the relay."),
            (Mover.NOBODY, "Every command that goes online sends what is not sent yet."),
        ),
        (
            ("smpchat listen", "continue waiting"),
            ("smpchat status", "what is waiting, and since when"),
            ("smpchat history WHO", "whether a message is now sent or delivered"),
            ("smpchat COMMAND --timeout S", "wait longer"),
        ),
        (
            "The contact is offline, or has not opened the link yet.",
            "Too many messages are waiting for the contact, or their relay is full.",
            "A three-step or standard handshake holds messages until the contact answers.",
        ),
    ),
    ExitStatus.LOCKED: _Exit(
        "The profile cannot be used right now. Nothing was changed.",
        ((Mover.YOU, "Stop the other smpchat, give the right passphrase, or use the profile where you moved it."),),
        (
            ("smpchat doctor", "whether another smpchat is online for the profile"),
            ("smpchat key test", "whether the passphrase is right"),
            ("smpchat -p NAME COMMAND", "use another profile"),
            ("smpchat history WHO", "reading works even while another smpchat is online"),
        ),
        (
            "A `chat`, a `listen` or a program is running for the same profile.",
            "The passphrase was mistyped, or not given and there was no terminal to ask on.",
            "The profile was moved away with `smpchat export --move`.",
        ),
    ),
    ExitStatus.INTERRUPTED: _Exit(
        "Ctrl-C or a signal stopped the command. Everything is saved: links stay valid, and messages wait.",
        ((Mover.NOBODY, "Every command that goes online continues with what is saved."),),
        (
            ("smpchat listen", "continue waiting"),
            ("smpchat status", "what is saved"),
            ("smpchat delete NUMBER", "cancel an invitation; `status` shows its number"),
        ),
    ),
}

_STATES = (
    Topic(
        Kind.CONNECTION,
        "invited",
        "you made a link, and nobody has used it yet",
        "Your link is ready at its relay. You need not stay online. This is step 1 of 3 of connecting.",
        ((Mover.CONTACT, "They open the link: `smpchat connect LINK --alias NAME`."),),
        (
            ("smpchat status", "see the link again"),
            ("smpchat listen", "wait until someone uses it"),
            ("smpchat delete NUMBER", "cancel it"),
        ),
    ),
    Topic(
        Kind.CONNECTION,
        "joining",
        "you opened a link or accepted a request, and your answer has not reached the relay yet",
        "Your answer is saved here and is sent as soon as the relay is reached. This is step 1 of 3 of connecting.",
        (
            (Mover.NOBODY, "Every command that goes online tries again."),
            (Mover.YOU, "If `smpchat status` says that you have not named a contact: name them."),
        ),
        (
            ("smpchat listen", "stay online until it is sent"),
            ("smpchat status", "whether its relay cannot be reached"),
            ("smpchat rename WHO ALIAS", "name the contact"),
        ),
        (
            "The relay of the link is down, or this computer is offline.",
            ("`connect` was interrupted before you named the contact."),
        ),
    ),
    Topic(
        Kind.CONNECTION,
        "ready",
        "you can write; they have not answered yet",
        "If you opened their link, your profile and your messages wait at their relay, and their profile arrives"
        " when they come online. (With a three-step or standard handshake, your messages wait here until then.)"
        " If you made the link, you have their profile, and yours is sent next. This is step 2 of 3 of connecting.",
        (
            (Mover.CONTACT, "They come online; their app answers automatically."),
            (Mover.YOU, "If they do not know that you used the link, tell them to run `smpchat listen` or `chat`."),
        ),
        (
            ("smpchat chat WHO", "write to them now"),
            ("smpchat status WHO", "how long you have waited"),
            ("smpchat listen", "wait for their answer"),
        ),
        (
            "They have been offline since you used the link.",
            ("You sent a request to an address, and they have to accept it."),
        ),
    ),
    Topic(
        Kind.CONNECTION,
        "connected",
        "you have each other's profile",
        "All three steps of connecting are done. You can write to each other, and receipts show what is delivered.",
        ((Mover.NOBODY, "The connection is complete."),),
        (
            ("smpchat chat WHO", "chat"),
            ("smpchat verify WHO", "compare security codes, to be sure that nobody else can read your messages"),
        ),
    ),
    Topic(
        Kind.CONNECTION,
        "failed",
        "the connection failed for good",
        "The reason is stored with the contact. Messages that waited for the connection have failed too.",
        (
            (Mover.CONTACT, "They make a new link."),
            (Mover.YOU, "Ask for a new link. You can use the same alias."),
        ),
        (
            ("smpchat status WHO", "the reason"),
            ("smpchat connect LINK --alias WHO", "open the new link (you can use the same alias)"),
            ("smpchat delete WHO", "delete the failed contact"),
        ),
        ("Someone else used the link, or it was cancelled.", "The link was damaged or changed before it reached you."),
    ),
    Topic(
        Kind.CONNECTION,
        "deleted",
        "you deleted the contact or cancelled the invitation",
        "It is deleted here. The relay and the contact are told as soon as the relay is reached.",
        ((Mover.NOBODY, "The next command that reaches the relay deletes it there too."),),
        (("smpchat status", "whether its relay cannot be reached"),),
    ),
    Topic(
        Kind.MESSAGE,
        "pending",
        "saved here; no relay has it yet",
        "It is sent when smpchat is online and nothing holds it back. Messages are sent in the order you wrote them.",
        (
            (Mover.NOBODY, "Every command that goes online sends it."),
            (
                Mover.CONTACT,
                "If you are not connected yet, or too many messages are waiting, they must come online first.",
            ),
        ),
        (
            ("smpchat listen", "stay online until it is sent"),
            ("smpchat status", "whether a relay cannot be reached"),
            ("smpchat status WHO", "whether the connection holds it back"),
        ),
        (
            "The command did not wait (`--wait none`), or the relay was not reached in time.",
            "They have not answered your request yet, or the handshake is three-step or standard.",
            "Too many messages are waiting for them, or their relay is full.",
        ),
        mark="·",
    ),
    Topic(
        Kind.MESSAGE,
        "sent",
        "their relay has it",
        "It waits there until they come online. You need not stay online.",
        ((Mover.CONTACT, "They come online, and their app sends a receipt."),),
        (("smpchat listen", "wait for the receipt"),),
        (
            "They are offline.",
            ("Their app sends no receipts, or they turned receipts off: the message then stays at sent."),
        ),
        mark="✓",
    ),
    Topic(
        Kind.MESSAGE,
        "delivered",
        "their app has it and sent a receipt",
        "Their app decrypted it, and its receipt proves that nobody changed it. SimpleX does not tell"
        " whether it was read.",
        ((Mover.NOBODY, "It has arrived."),),
        mark="✓✓",
    ),
    Topic(
        Kind.MESSAGE,
        "failed",
        "it will never arrive",
        "`history` shows the reason. smpchat does not try again.",
        ((Mover.YOU, "Fix the connection, then send the text again."),),
        (
            ("smpchat history WHO", "the reason"),
            ("smpchat status WHO", "the state of the connection"),
        ),
        ("The connection failed.", "They removed you, or their queue was deleted."),
        mark="✗",
    ),
    Topic(
        Kind.MESSAGE,
        "received",
        "they wrote it, and it is saved here",
        "Their app gets a receipt, so they see it as delivered (unless you turned receipts off).",
        ((Mover.YOU, "Reply, if you like."),),
        (("smpchat reply NUMBER TEXT", "reply to it; `history` shows its number"),),
    ),
)


def topics() -> Iterator[Topic]:
    """All topics of `smpchat explain`: first exit codes, then states."""
    for status, rest in _EXITS.items():
        yield Topic(
            Kind.EXIT,
            status.name.lower(),
            status.meaning,
            rest.happened,
            rest.moves,
            rest.commands,
            rest.causes,
            code=int(status),
        )
    yield from _STATES
    yield from GROUP_TOPICS


def find(text: str) -> list[Topic]:
    """The topics that ``text`` stands for: an exit code, the name of a code or state, or a mark that `chat` prints.
    *failed* has two topics, an unknown word none."""
    wanted = text.strip().casefold()
    return [topic for topic in topics() if wanted in topic.names]
