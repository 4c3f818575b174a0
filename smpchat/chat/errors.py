"""Errors of the chat layer; the tree is drawn in the package docstring."""

from __future__ import annotations

from collections.abc import Sequence

from smpchat.client.trouble import Trouble


class ChatError(Exception):
    """Root of the errors of the chat layer.

    Attributes:
        hint: One or more sentences that tell the user what to do.
    """

    hint = "Run the command again with -v to see details."

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class InputError(ChatError):
    """Something the user gave cannot be used. Nothing was stored."""


class UnknownContact(InputError):
    """There is no contact or invitation with this name."""

    hint = "`smpchat contacts` lists your contacts; `smpchat status` lists your invitations."

    def __init__(self, name: str, near: Sequence[str] = ()) -> None:
        meant = f"Did you mean {_or(near)}? {self.hint}" if near else None
        super().__init__(f"There is no contact {name!r}.", meant)


class AmbiguousContact(UnknownContact):
    """Several contacts have this name: in an old profile, aliases may differ only in capitals."""

    hint = "Type the alias exactly, or give one of these contacts another alias: `smpchat rename WHO ALIAS`."

    def __init__(self, name: str, found: Sequence[str]) -> None:
        ChatError.__init__(self, f"{name!r} can mean {_or(found)}.")


class UnknownProfile(InputError):
    """No profile with this name was ever used."""

    hint = "`smpchat profile list` shows your profiles."

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no profile {name!r}.")


class UnknownRequest(InputError):
    """There is no contact request with this number or name, or there are several with this name."""

    hint = "`smpchat requests` shows their numbers."

    def __init__(self, who: str, found: int) -> None:
        what = "There is no request" if not found else f"{found} requests are from someone called"
        super().__init__(f"{what} {who!r}.")


class NoAddress(InputError):
    """This profile has no contact address."""

    hint = "Make one with `smpchat address create`."

    def __init__(self) -> None:
        super().__init__("You have no contact address.")


class AliasInUse(InputError):
    """The alias belongs to another contact, or looks like another contact's alias. Nothing was stored."""

    hint = "Choose another alias, or rename the other contact first."

    def __init__(self, alias: str, like: str | None = None) -> None:
        """``like``: the other contact's alias, if it only looks like ``alias``; None if it is the same alias."""
        if like is None:
            super().__init__(f"You already have a contact {alias!r}.")
        else:
            super().__init__(f"{alias!r} looks like your contact {like!r}.")


class TextTooLong(InputError):
    """A text does not fit into one message. Nothing was stored."""

    hint = "Send it in parts."

    def __init__(self, excess: int, limit: int) -> None:
        much = "1 byte" if excess == 1 else f"{excess:,} bytes"
        super().__init__(f"The text is {much} too long: one message can hold about {limit:,} bytes.")


class UnknownMessage(InputError):
    """There is no message with this number."""

    hint = "`smpchat history` shows the numbers of messages."

    def __init__(self, number: int) -> None:
        super().__init__(f"There is no message {number}.")


class ContactGone(InputError):
    """The contact removed us. Nothing was stored."""

    hint = "Ask them for a new link, over another channel."

    def __init__(self, alias: str) -> None:
        super().__init__(f"{alias!r} removed you; messages no longer reach them.")


class ConnectionFailed(ChatError):
    """The handshake with a contact failed for good; the text of the error says why."""

    hint = "Ask your contact for a new link. You can use the same alias again."


class DeliveryFailed(ChatError):
    """A message of ours, or a change to it, will never arrive; the text of the error says why."""

    hint = "smpchat does not try again. Send it yourself when `smpchat status` shows that the connection works."


class NoFileOffered(InputError):
    """A contact or group has sent no file that could be received."""


class FileUnavailable(ChatError):
    """A file that a contact sent cannot be received any more; the text of the error says why."""

    hint = "Ask your contact to send the file again."


class FileDamaged(FileUnavailable):
    """The received file is not the one that its sender announced, so it was not saved."""


class FileNotSaved(FileUnavailable):
    """A file could not be saved on this computer, or the part of the file that had been received was deleted."""

    hint = "Free some disk space or choose another folder, then try again."


class FileStalled(ChatError):
    """A file is not complete yet, and we do not wait any longer; the text of the error says why.

    The next process that goes online continues the transfer.

    Attributes:
        kind: The kind of problem; None if there is no problem, and the transfer only takes time.
    """

    hint = "The next command that goes online continues the transfer. `smpchat files` shows the progress."

    def __init__(self, message: str, hint: str | None = None, kind: Trouble | None = None) -> None:
        super().__init__(message, hint)
        self.kind = kind


class TextsHeld(ChatError):
    """The contact's keys have changed, so the message is stored, but held until the user decides about the new keys."""

    hint = "Compare the security code with your contact, over a call or face to face, then decide."


class CodeDiffers(ChatError):
    """The contact sees a different security code. The contact counts as not verified."""

    hint = (
        "Check the digits once more. If they differ, someone may be reading your messages: delete the contact, and"
        " connect again with a link sent over another channel."
    )

    def __init__(self, alias: str) -> None:
        super().__init__(f"This is not your security code with {alias!r}.")


class RelayUnavailable(ChatError):
    """A relay that is needed cannot be used now. Most tasks are kept: the next process that goes online continues them.

    Attributes:
        kind: The kind of problem; None if the embedded relay on this computer could not be started.
    """

    hint = (
        "You need not do anything: the next command that goes online sends what is waiting. `smpchat status` shows the"
        " relay."
    )

    def __init__(self, message: str, hint: str | None = None, kind: Trouble | None = None) -> None:
        super().__init__(message, hint)
        self.kind = kind


class ProfileLocked(ChatError):
    """Another process is online for this profile."""

    hint = "Let it send the messages, or stop it first."


class PassphraseNeeded(ProfileLocked):
    """A profile or an exported file is encrypted, and there is no terminal to ask for its passphrase."""

    hint = "Pass the passphrase as an argument when you open the profile."

    def __init__(self, hint: str | None = None) -> None:
        super().__init__("No passphrase given, and no terminal to ask on.", hint)


class ProfileMoved(ProfileLocked):
    """The profile was exported to be used elsewhere, and never goes online here again. Nothing was stored."""

    hint = "Use it where you imported it. `smpchat history` still shows the earlier messages here."

    def __init__(self) -> None:
        super().__init__("This profile was moved away with `smpchat export --move`.")


class NoArchive(InputError):
    """The file was not written by `smpchat export`."""

    hint = "Give a file that `smpchat export` made."

    def __init__(self) -> None:
        super().__init__("This is not an exported profile.")


class ImportDeclined(InputError):
    """The user did not accept the imported profile's relays and network settings. Nothing was stored."""

    hint = "Ask the person who gave you the file about these settings."

    def __init__(self) -> None:
        super().__init__("Nothing was imported.")


class ArchiveNewer(InputError):
    """The exported profile was written by a later version of smpchat. Nothing was stored."""

    hint = "Upgrade smpchat, then import the file again."

    def __init__(self) -> None:
        super().__init__("This profile was exported by a newer smpchat.")


class ArchiveDamaged(ChatError):
    """The file with an exported profile was cut off or changed. Nothing was stored."""

    hint = "Copy the file again, or export the profile again."

    def __init__(self) -> None:
        super().__init__("This exported profile is damaged.")


class ArchiveForeign(ChatError):
    """The exported profile contains something that `smpchat export` never writes. Nothing was stored."""

    hint = "Someone made or changed it with another program. Do not use it, and ask the person who gave it to you."

    def __init__(self, what: str) -> None:
        super().__init__(f"This exported profile was not written by smpchat: {what}.")


def _or(names: Sequence[str]) -> str:
    """Quoted names in a row, such as ``'alice', 'alan' or 'albert'``."""
    *first, last = map(repr, names)
    return f"{', '.join(first)} or {last}" if first else last
