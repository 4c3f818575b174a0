"""What `smpchat explain` says: of every exit code, connection state and message status, whose move is next."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from smpchat.cli.exit_status import ExitStatus
from smpchat.encoding.record import Record, field


class Kind(StrEnum):
    """What is explained."""

    EXIT = "exit-code"
    CONNECTION = "connection-state"
    MESSAGE = "message-status"


class Mover(StrEnum):
    """Whose move is next."""

    YOU = "you"
    CONTACT = "contact"
    OPERATOR = "operator"
    NOBODY = "nobody"


class Topic(Record):
    """One thing that can be explained.

    Attributes:
        name: What `smpchat explain` takes; for an exit code also its number is taken.
        meaning: One line: what is the case.
        happened: The same with its consequences, in sentences.
        moves: Who does what next. More than one where it depends on the cause.
        commands: What to type, and what that does.
        causes: What usually led here.
        mark: What stands for it in `chat`.
        code: Number of an exit code.
    """

    kind: Kind
    name: str
    meaning: str
    happened: str
    moves: tuple[tuple[Mover, str], ...]
    commands: tuple[tuple[str, str], ...] = ()
    causes: tuple[str, ...] = ()
    mark: str | None = None
    code: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is found by."""
        code = () if self.code is None else (str(self.code),)
        return (*code, self.name, *(() if self.mark is None else (self.mark,)))


class _Exit(Record):
    """What a topic says of an exit code beyond the words of `ExitStatus`."""

    happened: str
    moves: tuple[tuple[Mover, str], ...]
    commands: tuple[tuple[str, str], ...]
    causes: tuple[str, ...] = field(default=())


_EXITS = {
    ExitStatus.OK: _Exit(
        "The command did what it says. That may not be the end of it: a message can still be pending, and a contact"
        " only ready.",
        ((Mover.NOBODY, "Nothing is left to do for this command."),),
        (("smpchat status", "what still waits, and for whom"),),
    ),
    ExitStatus.INPUT: _Exit(
        "The command was refused, or this computer could not carry it out. The first sentence of the error says what"
        " cannot be used, the second how it can.",
        ((Mover.YOU, "Change what the error names, then run the command again. Waiting changes nothing."),),
        (
            ("smpchat COMMAND --help", "what the command takes"),
            ("smpchat contacts", "the aliases that there are"),
            ("smpchat doctor", "whether something is wrong with this installation"),
            ("smpchat -v COMMAND", "details, for a report"),
        ),
        (
            "An alias or a number that does not exist, or an alias that exists already.",
            "A link that was cut while it was copied, that is your own, or that you have joined already.",
            "A text longer than one message.",
            "A contact who deleted you: only a new link leads to them.",
            "A full disk, or a folder that is not yours.",
            "The program of `listen --exec` failed, or a required check of `doctor` did.",
        ),
    ),
    ExitStatus.USAGE: _Exit(
        "The words of the command line fit no command, so nothing was done.",
        ((Mover.YOU, "Type it another way."),),
        (
            ("smpchat --help", "all commands"),
            ("smpchat COMMAND --help", "what one command takes, with an example"),
            ("smpchat send WHO -- TEXT", "a text that begins with -"),
        ),
        (
            "A misspelled command or option.",
            "A link without quotes: the shell takes its & and ? for signs of its own.",
        ),
    ),
    ExitStatus.NETWORK: _Exit(
        "A relay did not answer in time, or could not do its part. Nothing is lost: joins, texts and changes are kept"
        " here until a relay has them.",
        (
            (Mover.NOBODY, "Every command that goes online tries again; `listen` and `chat` stay online and retry."),
            (Mover.YOU, "If this computer is offline, or its relay is stopped: mend that."),
            (Mover.OPERATOR, "If the relay is down for everybody: only they can start it."),
        ),
        (
            ("smpchat status", "which relay, and when it is tried next"),
            ("smpchat server test", "every step to your relays, and how long it took"),
            ("smpchat relay start", "if it is the relay of this computer, and was stopped"),
            ("smpchat listen", "stay online, and see it go out"),
            ("smpchat server use simplex", "other relays for new invitations; contacts keep theirs"),
        ),
        (
            "This computer has no network, or a network that lets only the web through (`--transport auto`).",
            "`smpchat relay stop` was the last word about the relay of this computer.",
            "The relay of a contact who runs their own is switched off.",
            "The proxy of `smpchat server socks` does not run.",
        ),
    ),
    ExitStatus.REFUSED: _Exit(
        "A link, a queue or a connection is gone for good. Trying again changes nothing.",
        (
            (Mover.CONTACT, "They make a new link with `smpchat invite`, and give it to you."),
            (
                Mover.YOU,
                "Ask them for it. If a one-time link was meant for you alone, ask another way: somebody else"
                " may have opened it.",
            ),
        ),
        (
            ("smpchat status WHO", "why, in a sentence"),
            ("smpchat connect LINK --alias WHO", "use the new link; the alias of a failed contact is free"),
            ("smpchat verify WHO", "compare security codes after that"),
            ("smpchat delete WHO", "forget the failed contact"),
        ),
        (
            "The link is for one person, and somebody used it before.",
            "Whoever made the link cancelled it, or deleted the address.",
            "The relay has deleted the queue.",
            "The connection of a message failed, so the message will never arrive.",
        ),
    ),
    ExitStatus.VERIFICATION: _Exit(
        "Something is not what it must be, by a signature, a fingerprint or a code. What did not fit was neither shown"
        " nor stored.",
        (
            (Mover.YOU, "Find out why before you write on, by another way than the one that did not fit."),
            (Mover.CONTACT, "For a link: they make a new one. For a security code: they read theirs out once more."),
            (Mover.OPERATOR, "For a relay: they publish its address, with its fingerprint."),
        ),
        (
            ("smpchat verify WHO", "your security code, to compare it by voice"),
            ("smpchat server list", "the fingerprints that you expect"),
            ("smpchat delete WHO", "if the codes differ: then connect again, by a link given another way"),
        ),
        (
            "Digits of the security code were mistyped, or one side renewed its keys since.",
            "The link was changed on its way, or what its relay keeps for it was.",
            "The relay was set up anew, or somebody else answers in its place.",
            "An exported file was cut or changed while it was copied.",
        ),
    ),
    ExitStatus.TIMEOUT: _Exit(
        "The time to wait was over first. Nothing failed and nothing is lost.",
        (
            (Mover.CONTACT, "They come online: what waits for them is at the relay."),
            (Mover.NOBODY, "What has not left yet is tried by every command that goes online."),
        ),
        (
            ("smpchat listen", "go on waiting"),
            ("smpchat status", "who or what is waited for, and since when"),
            ("smpchat history WHO", "whether a message is sent or delivered by now"),
            ("smpchat COMMAND --timeout S", "wait longer"),
        ),
        (
            "The contact is offline, or has not opened the link yet.",
            "Too many messages wait for the contact unread, or their relay is full.",
            "The handshake is one that holds texts until they have answered (three-step, standard).",
        ),
    ),
    ExitStatus.LOCKED: _Exit(
        "The profile cannot be used for this here and now. Nothing was changed.",
        ((Mover.YOU, "End the process that holds it, give the right passphrase, or use the profile where it is."),),
        (
            ("smpchat doctor", "whether another process is online for the profile"),
            ("smpchat key test", "whether the passphrase is the right one"),
            ("smpchat -p NAME COMMAND", "use another profile"),
            ("smpchat history WHO", "reading works, though another process is online"),
        ),
        (
            "A `chat`, a `listen` or a program runs for the same profile.",
            "The passphrase of an encrypted profile or file was mistyped, or nobody could be asked for it.",
            "The profile was moved away with `smpchat export --move`.",
        ),
    ),
    ExitStatus.INTERRUPTED: _Exit(
        "Ctrl-C, or a signal, ended the command. What was stored is kept: links stay valid, texts wait.",
        ((Mover.NOBODY, "Every command that goes online carries on with what is kept."),),
        (
            ("smpchat listen", "go on waiting"),
            ("smpchat status", "what is kept"),
            ("smpchat delete NUMBER", "cancel an invitation; `status` shows its number"),
        ),
    ),
}

_STATES = (
    Topic(
        Kind.CONNECTION,
        "invited",
        "you made a link, and nobody has used it yet",
        "Your link waits at its relay; you need not be online meanwhile. This is step 1 of 3.",
        ((Mover.CONTACT, "They use the link: `smpchat connect LINK --alias NAME`."),),
        (
            ("smpchat status", "the link once more"),
            ("smpchat listen", "wait until somebody uses it"),
            ("smpchat delete NUMBER", "cancel it"),
        ),
    ),
    Topic(
        Kind.CONNECTION,
        "joining",
        "a link or request was taken up here, and a relay has yet to hear of it",
        "What you answered is stored here, and goes out as soon as the relay is reached. This is step 1 of 3.",
        (
            (Mover.NOBODY, "Every command that goes online goes on with it."),
            (Mover.YOU, "If `smpchat status` says that a contact waits for a name: give it one."),
        ),
        (
            ("smpchat listen", "stay online until it is through"),
            ("smpchat status", "whether its relay cannot be reached"),
            ("smpchat rename WHO ALIAS", "give the name that is waited for"),
        ),
        ("The relay of the link is down, or this computer is offline.", "`connect` was interrupted at its question."),
    ),
    Topic(
        Kind.CONNECTION,
        "ready",
        "you may write; the other side has not answered yet",
        "If you used the link: your profile, and whatever you write, waits at their relay, and their profile comes once"
        " they are online. Where the handshake is three-step or standard, your texts wait here until then. If you made"
        " the link: their profile is here, and yours leaves next. This is step 2 of 3.",
        (
            (Mover.CONTACT, "They come online; their program answers by itself."),
            (Mover.YOU, "Only if they do not know of the link: tell them to run `smpchat listen` or `chat`."),
        ),
        (
            ("smpchat chat WHO", "write already"),
            ("smpchat status WHO", "since when they are waited for"),
            ("smpchat listen", "see the answer come"),
        ),
        ("They have been offline since you used the link.", "It is a request to an address: they have to accept it."),
    ),
    Topic(
        Kind.CONNECTION,
        "connected",
        "both sides have each other's profile",
        "The three steps are done. Messages go both ways, and receipts turn them to delivered.",
        ((Mover.NOBODY, "The connection is complete."),),
        (
            ("smpchat chat WHO", "talk"),
            ("smpchat verify WHO", "compare security codes, so that nobody sits between you"),
        ),
    ),
    Topic(
        Kind.CONNECTION,
        "failed",
        "the connection can never be made",
        "The reason is stored with the contact. Texts that waited for the connection have failed with it.",
        (
            (Mover.CONTACT, "They make a new link."),
            (Mover.YOU, "Ask for it, and use it under the same alias if you like."),
        ),
        (
            ("smpchat status WHO", "why, in a sentence"),
            ("smpchat connect LINK --alias WHO", "use the new link; the alias of a failed contact is free"),
            ("smpchat delete WHO", "forget the failed contact"),
        ),
        ("The link was used by somebody else, or cancelled.", "The link was damaged, or changed on its way."),
    ),
    Topic(
        Kind.CONNECTION,
        "deleted",
        "you deleted the contact or cancelled the invitation",
        "It is gone here. Its relay and the contact are told as soon as the relay is reached.",
        ((Mover.NOBODY, "The next command that reaches the relay tells it."),),
        (("smpchat status", "whether its relay cannot be reached"),),
    ),
    Topic(
        Kind.MESSAGE,
        "pending",
        "stored here; no relay has it yet",
        "It leaves as soon as somebody is online for the profile and nothing holds it back, in the order of writing.",
        (
            (Mover.NOBODY, "Every command that goes online sends it."),
            (
                Mover.CONTACT,
                "If the connection is not made yet, or too much waits unread: they come online first.",
            ),
        ),
        (
            ("smpchat listen", "stay online until it is sent"),
            ("smpchat status", "whether a relay cannot be reached"),
            ("smpchat status WHO", "whether the connection holds it back"),
        ),
        (
            "It was written with `--wait none`, or the relay was not reached in time.",
            "The handshake is three-step or standard, or a request, and they have not answered.",
            "Too many messages wait for them unread, or their relay is full.",
        ),
        mark="·",
    ),
    Topic(
        Kind.MESSAGE,
        "sent",
        "their relay has it",
        "It waits there until they come online; you need not be.",
        ((Mover.CONTACT, "They come online, and their program sends a receipt."),),
        (("smpchat listen", "wait for the receipt"),),
        ("They are offline.", "Their app sends no receipts, or they turned them off: then it stays at sent."),
        mark="✓",
    ),
    Topic(
        Kind.MESSAGE,
        "delivered",
        "their program has it, and said so",
        "It was decrypted there, unchanged. Whether it was read, nobody tells.",
        ((Mover.NOBODY, "It has arrived."),),
        mark="✓✓",
    ),
    Topic(
        Kind.MESSAGE,
        "failed",
        "it will never arrive",
        "The reason stands beside it in `history`. It is not tried again.",
        ((Mover.YOU, "Mend the connection, then write it again."),),
        (
            ("smpchat history WHO", "the reason"),
            ("smpchat status WHO", "how the connection is"),
        ),
        ("The connection failed.", "They deleted the contact with you, or their queue was deleted."),
        mark="✗",
    ),
    Topic(
        Kind.MESSAGE,
        "received",
        "they wrote it, and it is stored here",
        "Their program gets a receipt for it, so that it is delivered for them.",
        ((Mover.YOU, "Answer, if you like."),),
        (("smpchat reply NUMBER TEXT", "answer it; `history` shows its number"),),
    ),
)


def topics() -> Iterator[Topic]:
    """Everything that can be explained: exit codes, then states."""
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


def find(text: str) -> list[Topic]:
    """What a number, a name or a mark of `chat` stands for; two for *failed*, none for what is unknown."""
    wanted = text.strip().casefold()
    return [topic for topic in topics() if wanted in topic.names]
