"""Shows what arrives while `chat` runs, such as messages, changes of messages, and contact requests."""

from __future__ import annotations

from rich.text import Text

from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.chat.service.relay_watch import RelayWatch
from smpchat.chat.store import events
from smpchat.chat.store.files import FileState
from smpchat.chat.store.records import Direction, Message, MessageStatus
from smpchat.chat.wire.content import GROUP_INVITATION
from smpchat.cli.chat.conversation import Conversation
from smpchat.cli.text import printable, quoted, shortened
from smpchat.cli.views.conditions import condition_line, relay_back
from smpchat.cli.views.files import state_text
from smpchat.cli.views.links import command_for_them, own_alias


class Arrivals:
    """Shows the events of the profile in `chat`, for example that a message arrived."""

    def __init__(self, talk: Conversation) -> None:
        self._talk, self._transcript, self._service = talk, talk.transcript, talk.service
        self._after = talk.after
        self._added: dict[int, None] = {}
        self._changed: dict[int, events.MessageChanged] = {}
        self._relays = RelayWatch(self._service)
        self._known = {view.contact.id for view in talk.contacts() if view.contact.profile is not None}

    def follow(self) -> bool:
        """Handle the events since the last call. Returns whether something must be drawn again."""
        told = self._tell_of_relays()
        news = self._service.events_after(self._after)
        if not news:
            return self._follow_files() or told
        self._talk.refresh()
        for number, event in news:
            self._after = number
            self._take(event)
        self._receive()
        self._follow_files()
        self._transcript.settle()
        self._talk.count_unread()
        return True

    def _follow_files(self) -> bool:
        """Show the progress of files in the current conversation; returns whether something must be drawn again."""
        view = self._talk.current
        moving = [] if view is None else self._service.moving_files(view.alias)
        return self._transcript.moving(moving, self._talk.outgoing.encrypting(), self._talk.environment.now())

    def _file_changed(self, number: int) -> None:
        message = self._service.message(number)
        if message is None or message.file is None:
            return
        if message.contact == self._alias():
            self._transcript.file_changed(message)
        elif message.file.state in (FileState.RECEIVED, FileState.FAILED):
            told = f"{shortened(message.file.name)}, {state_text(message.file, message)}"
            self._transcript.tell(f"* {shortened(message.contact)}: {told}")

    def next_look(self) -> float | None:
        """The caller must call `follow` after this many seconds, even if the store has not changed by then. None: the
        caller can wait for a change of the store."""
        return self._relays.next_look(self._talk.environment.now())

    def _tell_of_relays(self) -> bool:
        """Say if a relay with our queues cannot be reached, or is back, so that the user knows why no messages
        arrive."""
        away, back = self._relays.look(self._talk.environment.now())
        for condition in away:
            self._transcript.tell(Text(condition_line(self._talk.environment, condition), "bold red"))
        for server in back:
            self._transcript.tell(f"* {relay_back(server)}")
        if away or back:
            self._talk.refresh()
        return bool(away or back)

    def _receive(self) -> None:
        """Print new and changed messages of the current conversation, the user's as well as the contact's. They are
        printed even if another command has already shown them."""
        added, changed = self._added, self._changed
        self._added, self._changed = {}, {}
        view = self._talk.current
        if view is None:
            return
        unshown = {message.id for message in self._service.unshown_messages() if message.contact == view.alias}
        for number in sorted(added.keys() | unshown):
            message = self._service.message(number)
            if message is not None and message.contact == view.alias:
                self._show(message)
        waiting = [message for message in self._service.unshown_changes() if message.contact == view.alias]
        for message in waiting:  # also changes that came before this conversation was opened
            changed.setdefault(message.id, _before(message))
        for event in changed.values():
            self._show_change(event, view.alias)
        for message in waiting:
            self._service.mark_shown(message.id, message.changes)
        self._transcript.growing(self._service.being_written(view.alias))
        self._talk.refresh()

    def _show(self, message: Message) -> None:
        if message.held:  # its author is still writing it
            return
        if not self._transcript.holds(message.id):
            if message.direction is Direction.SENT:
                self._transcript.sent(message)
            else:
                self._transcript.say([message])
                if message.content == GROUP_INVITATION:
                    self._talk.tell_invitations(message.contact)
                if message.file is not None and message.file.state is FileState.OFFERED:
                    self._transcript.tell(f"* /get {message.id} receives the file.")
        if not message.shown:
            # The message is marked as shown only after it was printed: if this process is killed in between, the
            # message is printed twice, but never lost.
            self._service.mark_shown(message.id, message.changes)

    def _show_change(self, event: events.MessageChanged, alias: str) -> None:
        message = self._service.message(event.id)
        theirs = event.direction == Direction.RECEIVED
        if message is None:
            told = self._transcript.is_deleted(event.id) or not self._transcript.holds(event.id)
            self._transcript.expired(event.id)
            if event.change == events.Change.DELETED and not told:
                group = self._talk.current is not None and self._talk.current.group is not None
                who = shortened(event.by or "Somebody") if group else shortened(alias)
                self._transcript.tell(f"* {who if theirs else 'You'} deleted message {event.id}.")
            return
        if message.contact != alias or message.held:
            return
        if theirs and not (message.changes or message.live):  # not a change: the author finished a live message
            self._show(message)
            return
        if not self._transcript.is_current(message) and (message.changes or not theirs):
            if theirs and message.group:
                self._transcript.changed_by(f"* {_in_group(event, message)}:", message)
                return
            who = shortened(alias) if theirs else "You"
            self._transcript.changed_by(f"* {who} {_what_changed(event, message)}:", message)

    def _take(self, event: events.ChatEvent) -> None:
        match event:
            case events.StateChanged(alias=str()):
                self._state_changed(event)
            case events.ContactChanged(alias):
                self._contact_changed(alias)
            case events.StatusChanged():
                self._status_changed(event)
            case events.Notice(alias) if alias is not None and alias != self._alias():
                pass  # shown when its own conversation is opened
            case events.Notice():
                self._transcript.tell(Text(f"* {self._talk.environment.as_typed(printable(event.sentence))}"))
                if event.number is not None:
                    self._service.mark_notices_shown(event.number)
            case events.RequestReceived():
                self._talk.bell.ring()
                self._talk.notifier.asked(self._service.requests())
                self._talk.show_requests()
            case events.MessageAdded(number):
                self._added[number] = None
                message = self._service.message(number)
                if message is not None and not self._service.is_muted(message.contact_id):
                    self._talk.bell.ring(message.direction is Direction.RECEIVED)
                    self._talk.notifier.heard(message)
            case events.FileChanged(number):
                self._file_changed(number)
            case events.MessageExpired(number):
                self._transcript.expired(number)
            case events.MessageChanged(number):
                if number not in self._changed or event.change != events.Change.REACTION:
                    self._changed[number] = event  # an edit says more than a reaction that came with it
            # This case is for unused invitations, which have no alias: the first case handles every `StateChanged` with
            # an alias.
            case events.StateChanged(connection):
                self._link_made(connection)

    def _link_made(self, connection: int) -> None:
        """Print the link of an unused invitation, if the invitation was made in this chat and its link is ready."""
        invitation = self._service.invitation(connection) if connection in self._talk.invited else None
        if invitation is not None and invitation.link:
            self._talk.invited.discard(connection)
            self._transcript.show(Text(invitation.short_link or invitation.link))
            command = command_for_them(invitation, own_alias(self._service, invitation))
            self._transcript.tell(f"* Send this link, or this command, to the other person: {command}")

    def _alias(self) -> str | None:
        return self._talk.current.alias if self._talk.current is not None else None

    def _state_changed(self, event: events.StateChanged) -> None:
        view = next((v for v in self._talk.contacts() if v.contact.connection_id == event.connection), None)
        if view is None or event.state != view.state.state:
            return  # deleted, or overtaken by a later event
        current = self._talk.current
        if current is None and self._talk.is_the_only(view):
            self._talk.go_to(view)
            return
        written_to = current is not None and current.contact.id == view.contact.id
        if written_to or event.state in (ConnectionState.CONNECTED, ConnectionState.FAILED):
            where = "" if current else f" Type /to {shortened(view.alias)} to write to them."
            style = "bold red" if event.state == ConnectionState.FAILED else "dim"
            self._transcript.tell(Text(f"* {self._talk.describe(view)}{where}", style))

    def _contact_changed(self, alias: str) -> None:
        view = next((view for view in self._talk.contacts() if view.alias == alias), None)
        if view is None or view.contact.profile is None or view.contact.id in self._known:
            return  # if the name changes later, a notice in the conversation says so
        self._known.add(view.contact.id)
        if view.group is not None:
            if view.group.name != alias:
                self._transcript.tell(f"* The name of the group {shortened(alias)} is {quoted(view.group.name)}.")
            return
        self._transcript.tell(f"* {shortened(alias)}'s profile name is {quoted(view.contact.profile.display_name)}.")

    def _status_changed(self, event: events.StatusChanged) -> None:
        message = self._service.message(event.id)
        if message is not None and message.status == event.status:  # else deleted, or overtaken by a later event
            self._transcript.status_changed(message)
            if message.id in self._talk.apart and message.status is not MessageStatus.PENDING:
                self._talk.apart.discard(message.id)
                why = f": {printable(message.reason)}" if message.reason else ""
                self._transcript.tell(f"to {shortened(message.contact)}: {message.status}{why}")


def _before(message: Message) -> events.MessageChanged:
    """An event for a message that the contact changed before the conversation was opened. The kind of the change is
    inferred from the message; it is ``SEVERAL`` if the message does not show what was changed."""
    reacted = any(reaction.direction is Direction.RECEIVED for reaction in message.reactions)
    change = events.Change.SEVERAL
    if message.deleted:
        change = events.Change.DELETED
    elif message.edited and not reacted:
        change = events.Change.EDITED
    return events.MessageChanged(message.id, message.contact, change, Direction.RECEIVED, message.deleted_by)


def _in_group(event: events.MessageChanged, message: Message) -> str:
    """A change in a group as a sentence, such as ``cath edited message 3``; without a name if it is not known who made
    the change."""
    by = shortened(event.by) if event.by else ""
    match event.change:
        case events.Change.EDITED if message.sender is not None:
            return f"{shortened(message.sender)} edited message {message.id}"
        case events.Change.DELETED:
            return f"{by} deleted message {message.id}" if by else f"Message {message.id} was deleted"
        case events.Change.REACTION if by and event.emoji:
            return f"{by} reacted {printable(event.emoji)} to message {message.id}"
        case events.Change.REACTION if by:
            return f"{by} removed a reaction from message {message.id}"
        case events.Change.REACTION:
            return f"The reactions to message {message.id} changed"
    return f"Message {message.id} changed"


def _what_changed(event: events.MessageChanged, message: Message) -> str:
    """What somebody did to a message: ``edited message 3``, ``deleted message 1``, ``reacted 👍 to message 2``."""
    if event.change != events.Change.REACTION:
        return f"{event.change} message {message.id}"
    emoji = [printable(reaction.emoji) for reaction in message.reactions if reaction.direction == event.direction]
    return (
        f"reacted {' '.join(emoji)} to message {message.id}"
        if emoji
        else f"removed a reaction from message {message.id}"
    )
