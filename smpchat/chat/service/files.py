"""A profile that sends and receives files: here files are checked, encrypted, stored, requested and cancelled.

Sending has three steps: `look_at_file`, `encrypt_file`, `store_file`. Encrypting takes time and does not use the store,
so it may run in another thread.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from smpchat.agent.context import Context
from smpchat.agent.errors import StoreNotWritable
from smpchat.agent.store import clock
from smpchat.chat.errors import InputError, NoFileOffered
from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.store import files as message_files
from smpchat.chat.store import records, settings
from smpchat.chat.store.files import FileState, MessageFile
from smpchat.chat.store.records import Contact, Direction, Message
from smpchat.chat.transactions import conversation, files, holding
from smpchat.chat.transactions.changes import SentChange
from smpchat.chat.wire.content import whole
from smpchat.chat.wire.picture import picture_of
from smpchat.crypto.entropy import Entropy
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, field, replace

if TYPE_CHECKING:  # imported where they are used
    from smpchat.agent.store.encrypted_files import EncryptedFile
    from smpchat.chat.wire.media import Media
    from smpchat.protocol.address import FileServer
    from smpchat.xftp.description import FileDescription


Progress = Callable[[int, int], object]
Own = Callable[["FileServer"], bool]


class OutgoingFile(Record):
    """A file of the user that was checked and can be sent to ``who``.

    Attributes:
        name: The file name that the contact sees.
        size: The size in bytes.
    """

    who: str
    path: Path = field(repr=False)
    name: str = field(repr=False)
    size: int
    media: Media
    text: str = field(default="", repr=False)
    forwarded: bool = False


def no_relay_of_ours(_: object) -> bool:
    """Always False. The default for ``own``: if no embedded relay runs, no file relay is this computer's own."""
    return False


class FileProfile(StoredProfile):
    """The part of a profile that sends and receives files."""

    context: Context
    entropy: Entropy

    # -- sending ------------------------------------------------------------------------------------------------------

    def has_file(self, message_id: int) -> bool:
        """Whether a message has a file, and so must be forwarded with `forwarded_file`. Raises `InputError`."""
        message = conversation.message(self.database.connection, message_id)
        return message.file is not None and not message.deleted

    def forwarded_file(self, message_id: int, who: str) -> OutgoingFile:
        """The file of a message, with the message's text, ready to be sent to ``who``.

        The file must be uploaded again: the keys in the description of the first upload work only for the people to
        whom that description was sent (xftp-wire 7.3).

        Raises:
            InputError: The file is not on this computer, or cannot be sent; or there is no such contact.
        """
        tx = self.database.connection
        message = conversation.message(tx, message_id)
        path = files.required(tx, message).path
        if path is None and message.direction is Direction.RECEIVED:
            raise InputError(
                f"You have not received the file of message {message_id} yet.",
                f"First: `smpchat receive {message_id}`",
            )
        if path is None:
            raise InputError(f"The file of message {message_id} cannot be found any more.", "Send the file itself.")
        words = message.text.removeprefix(message.note or "").lstrip()
        found = self._look_at(who, path, words, forwarded=True)
        return replace(found, name=whole(files.required(tx, message).name))

    def look_at_file(self, who: str, path: Path | str, text: str = "") -> OutgoingFile:
        """Checks that a file can be sent. Raises `InputError` or `UnknownContact` if it cannot."""
        return self._look_at(who, path, text)

    def _look_at(self, who: str, path: Path | str, text: str, *, forwarded: bool = False) -> OutgoingFile:
        from smpchat.chat.wire.media import look_at

        tx = self.database.connection
        contact = records.contact(tx, who)
        self.check_not_moved(tx)
        place = Path(os.path.abspath(Path(path).expanduser()))
        try:
            with open(place, "rb", opener=_without_waiting) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise InputError(
                        f"{place} is not a file.", "Give a file. To send a folder, first make an archive of it."
                    )
                media = look_at(file, status.st_size)
        except OSError as error:
            raise InputError(f"{place} cannot be read: {error.strerror}.", "Give a file that you can read.") from error
        found = OutgoingFile(contact.alias, place, whole(place.name), status.st_size, media, text, forwarded)
        if contact.is_group:
            from smpchat.chat.transactions import group_files
            from smpchat.chat.transactions.group_talk import GroupTalk

            group_files.check(
                GroupTalk(tx, self.context, contact), media, found.name, found.size, text, forwarded=forwarded
            )
        else:
            from smpchat.chat.transactions import file_bodies  # imported only if a file is sent

            file_bodies.check(tx, contact, media, found.name, found.size, text, forwarded=forwarded)
        return found

    def encrypt_file(self, file: OutgoingFile, progress: Progress | None = None) -> EncryptedFile:
        """Writes an encrypted copy of a file into the profile's folder. The caller must close the returned
        `EncryptedFile`. This method may run in another thread.

        Args:
            progress: Called with the number of bytes encrypted so far and the total number of bytes. If ``progress``
                raises an exception, the encryption ends and the unfinished copy is deleted.
        Raises:
            InputError: The file cannot be read, or has changed meanwhile.
        """
        from smpchat.agent.store.encrypted_files import encrypt_for_sending

        try:
            return encrypt_for_sending(file.path, self.folder, self.entropy, progress or _ignore)
        except OSError as error:
            hint = "Check that you can read the file, and that the disk has space for an encrypted copy."
            raise InputError(f"{file.path} could not be encrypted: {error.strerror}.", hint) from error

    def store_file(self, file: OutgoingFile, encrypted: EncryptedFile, *, anyway: bool = False) -> Message:
        """Stores a message with an encrypted file; the online process then sends the message and uploads the file. If
        this method raises `InputError` or `AgentError`, it has stored nothing.

        Args:
            anyway: If messages to the contact are held because the contact's keys have changed, send them and this
                message all the same.
        """
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            contact = records.contact(tx, file.who)
            if anyway:
                holding.overrule(tx, self.context, contact)
            name, media, send = file.name, file.media, files.send
            if contact.is_group:
                from smpchat.chat.transactions.group_files import send
            return send(
                tx, self.context, contact, file.path, name, encrypted, media, file.text, forwarded=file.forwarded
            )

    def send_file(
        self,
        who: str,
        path: Path | str,
        text: str = "",
        *,
        progress: Progress | None = None,
        anyway: bool = False,
    ) -> Message:
        """Checks, encrypts and stores a file in one call. Raises what `look_at_file`, `encrypt_file` and `store_file`
        raise."""
        file = self.look_at_file(who, path, text)
        with self.encrypt_file(file, progress) as encrypted:
            return self.store_file(file, encrypted, anyway=anyway)

    # -- receiving ----------------------------------------------------------------------------------------------------

    def relays_to_approve(self, message_id: int, own: Own = no_relay_of_ours) -> tuple[str, ...]:
        """Hosts of the relays that the user must approve before a file is downloaded: the sender of the file chose
        them, and they would learn this computer's address.

        The result is empty if there is a SOCKS proxy, if the user has already approved the relays, or if the file's
        description has not arrived yet.

        Raises:
            InputError: The message has no file.
            FileRefused: The file's description cannot be used.
        """
        message = conversation.message(self.database.connection, message_id)
        file = files.required(self.database.connection, message)
        if not file.complete or file.approved or self.proxy() is not None:
            return ()
        from smpchat.agent.transactions.files import relays_to_approve

        return relays_to_approve(file.description, self._known(own))

    def read_file_link(self, text: str) -> FileDescription:
        """The file description in a link. If it has a redirect, it describes a second file, whose content is the
        description of the real file (`smpchat.xftp.links`). Raises `InputError`."""
        from smpchat.xftp.links import read_file_link

        try:
            return read_file_link(text).description
        except DecodeError as error:
            raise InputError(
                f"This link to a file cannot be used: {error.what}.", "Copy the whole link again, and put it in quotes."
            ) from None

    def relays_of(self, described: FileDescription, own: Own = no_relay_of_ours) -> tuple[str, ...]:
        """Hosts of the relays that would learn this computer's address if the described file were downloaded."""
        from smpchat.agent.transactions.files import unknown_relays

        return () if self.proxy() is not None else unknown_relays(described, self._known(own))

    def place_for(self, to: Path | str | None = None) -> Path:
        """Checks that a received file can be saved at ``to`` (see `receive_file`), and returns the path of the folder
        or of the new file. Raises `InputError`."""
        return self._place(to)

    def receive_file(
        self, message_id: int, to: Path | str | None = None, *, approved: bool = False, own: Own = no_relay_of_ours
    ) -> Message:
        """Requests the file of a message. The online process downloads the file as soon as the file's description has
        arrived.

        Args:
            to: An existing folder, or the path of the new file; None: the folder in the settings. Nothing is
                overwritten.
            approved: The user agrees that relays that the sender chose see this computer's address.
            own: Tells whether a file relay is this computer's own.
        Raises:
            InputError: The message has no file that can be received, the file was already received, or the folder
                cannot be used.
            FileUnavailable: The file cannot be received any more.
            RelaysNotApproved: The user must first approve relays that the sender chose. Nothing has changed.
        """
        place = self._place(to)
        with self.database.transaction() as tx:
            message = conversation.message(tx, message_id)
            asked = approved or self.proxy() is not None
            known = self._known(own)
            files.receive(tx, self.context, message, place, approved=asked, known=known, agreed=approved)
            return conversation.message(tx, message_id)

    def _place(self, to: Path | str | None) -> Path:
        place = self.files_folder() if to is None else Path(os.path.abspath(Path(to).expanduser()))
        folder = place if to is None or place.is_dir() or str(to).endswith(("/", os.sep)) else place.parent
        try:
            if to is None:
                folder.mkdir(parents=True, exist_ok=True)
            if not folder.is_dir():
                raise InputError(f"There is no folder {folder}.", "Create it first, or give another folder with --to.")
            if not os.access(folder, os.W_OK | os.X_OK):
                raise InputError(
                    f"You are not allowed to write to the folder {folder}.", "Give another folder with --to."
                )
        except OSError as error:
            raise InputError(f"The folder {folder} cannot be used: {error.strerror}.", "Give another one.") from error
        return place

    def files_folder(self) -> Path:
        """The folder in which received files are saved by default."""
        said = settings.in_force(self.database.connection, settings.FILES_FOLDER)
        return Path(said).expanduser() if said else self._downloads()

    def cancel_file(self, message_id: int) -> Message:
        """Stops the transfer of a file. If it is our own file, its relays also delete it, and the contact is told.
        Raises `InputError`."""
        with self.database.transaction() as tx:
            message = conversation.message(tx, message_id)
            files.cancel(tx, self.context, message, _withdraw)
            files.leave_dropped(tx, self.context)
            return conversation.message(tx, message_id)

    def offered_by(self, who: str) -> int:
        """Finds the file to receive if the user names only a contact, and returns the number of its message. It is the
        newest file that was not requested yet, or else the newest that is being received, was cancelled or has failed.
        Raises `NoFileOffered`, and `InputError` if there is no such contact."""
        contact = records.contact(self.database.connection, who)
        found = message_files.newest(self.database.connection, contact.id, FileState.OFFERED)
        if found is None:
            found = message_files.newest(
                self.database.connection, contact.id, FileState.RECEIVING, FileState.CANCELLED, FileState.FAILED
            )
        if found is None:
            raise NoFileOffered(f"There is no file from {contact.alias} to receive.", "`smpchat files` lists files.")
        return found

    def preview_of(self, message_id: int) -> bytes | None:
        """The small picture that came with a file, as a JPEG or PNG; None if there is none. Raises `InputError`."""
        message = conversation.message(self.database.connection, message_id)
        file = files.required(self.database.connection, message)
        return None if file.preview is None else picture_of(file.preview).data

    # -- while online -------------------------------------------------------------------------------------------------

    def tend_files(self, own: Own = no_relay_of_ours) -> None:
        """Does all work for files except the transfers themselves: for example, it sends descriptions. The online
        process calls this whenever something changes."""
        tx, now = self.database.connection, self.now()
        waiting = (message_files.to_describe, message_files.to_start, message_files.to_judge, message_files.dropped)
        if not any(look(tx) for look in waiting) and not (message_files.due(tx, now) and not clock.is_held(tx, now)):
            return
        known, approved = self._known(own), self.proxy() is not None
        with suppress(StoreNotWritable), self.database.transaction() as tx:
            files.leave_dropped(tx, self.context)
            files.describe(tx, self.context, _describe)
            if not clock.is_held(tx, now):
                files.expire(tx, now)
            files.start_waiting(tx, self.context, approved=approved, known=known)
            self._receive_automatically(known, approved=approved)

    def _receive_automatically(self, known: Callable[[FileServer], bool], *, approved: bool) -> None:
        from smpchat.chat.wire.media import AUTOMATIC

        tx = self.database.connection
        which = settings.in_force(tx, settings.FILES_AUTO) or "off"
        folder = self.files_folder()

        def wanted(file: MessageFile, message: Message) -> bool:
            small = file.size <= AUTOMATIC.get(message.content, -1)
            return which != "off" and small and message.direction is Direction.RECEIVED

        with suppress(OSError):
            if which != "off" and message_files.to_judge(tx):
                folder.mkdir(parents=True, exist_ok=True)
        anyway = approved or which == "on"
        files.receive_automatically(tx, self.context, folder, wanted, approved=anyway, known=known)

    def _known(self, own: Own) -> Callable[[FileServer], bool]:
        return lambda server: own(server) or self.knows_file_relay(server)


def _without_waiting(path: str, flags: int) -> int:
    # Without `O_NONBLOCK`, opening a named pipe would wait until another program writes into it.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _ignore(*_: object) -> None:
    """Ignores the progress."""


def _describe(
    tx: sqlite3.Connection, context: Context, contact: Contact, file: MessageFile, message: Message
) -> SentChange:
    if not contact.is_group:
        from smpchat.chat.transactions import file_bodies

        return file_bodies.describe(tx, context, contact, file, message)
    from smpchat.chat.transactions import group_files

    return group_files.describe(tx, context, contact, file, message)


def _withdraw(tx: sqlite3.Connection, context: Context, contact: Contact, message: Message) -> None:
    if not contact.is_group:
        from smpchat.chat.transactions import file_bodies

        file_bodies.withdraw(tx, context, contact, message)
        return
    from smpchat.chat.transactions import group_files

    group_files.withdraw(tx, context, contact, message)
