"""What happens while one writes in `chat`: messages, changes, contacts and requests that arrive."""

from __future__ import annotations

from rich.text import Text

from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.chat.store import events
from smpchat.chat.store.records import Direction
from smpchat.cli.chat.conversation import Conversation
from smpchat.cli.text import printable, shortened


class Arrivals:
    """Brings the feed of the profile into a conversation."""

    def __init__(self, talk: Conversation) -> None:
        self._talk, self._transcript, self._service = talk, talk.transcript, talk.service
        self._after = talk.after
        self._known = {view.contact.id for view in talk.contacts() if view.contact.profile is not None}

    def follow(self) -> bool:
        """Take in what happened since the last call; whether anything did."""
        news = self._service.events_after(self._after)
        if not news:
            return False
        self._talk.refresh()
        for number, event in news:
            self._after = number
            self._take(event)
        self._receive()
        self._transcript.settle()
        self._talk.count_unread()
        return True

    def _receive(self) -> None:
        view = self._talk.current
        if view is None:
            return
        for message in self._service.unshown_messages():
            if message.contact == view.alias:
                self._transcript.say([message])
                # Printed first: a process that is killed in between shows it once more, and not never.
                self._service.mark_shown(message.id, message.changes)
        for message in self._service.unshown_changes():
            if message.contact == view.alias:
                self._transcript.changed_by(
                    f"* {shortened(view.alias)} changed or reacted to message {message.id}:", message
                )
                self._service.mark_shown(message.id, message.changes)
        self._transcript.growing(self._service.being_written(view.alias))
        self._talk.refresh()

    def _take(self, event: events.ChatEvent) -> None:
        match event:
            case events.StateChanged(alias=str()):
                self._state_changed(event)
            case events.ContactChanged(alias):
                self._contact_changed(alias)
            case events.StatusChanged():
                self._status_changed(event)
            case events.Notice():
                self._transcript.tell(Text(f"* {printable(event.sentence)}"))
                if event.number is not None:
                    self._service.mark_notice_shown(event.number)
            case events.RequestReceived():
                self._talk.bell.ring()
                self._talk.show_requests()
            case events.MessageAdded(number):  # shown from the store
                message = self._service.message(number)
                self._talk.bell.ring(message is not None and message.direction is Direction.RECEIVED)
            case events.MessageExpired(number):
                self._transcript.expired(number)
            case events.StateChanged() | events.MessageChanged():
                pass  # an invitation's own step; changes come from the store

    def _state_changed(self, event: events.StateChanged) -> None:
        view = next((v for v in self._talk.contacts() if v.contact.connection_id == event.connection), None)
        if view is None or event.state != view.state.state:
            return  # deleted, or overtaken by a later event
        current = self._talk.current
        written_to = current is not None and current.contact.id == view.contact.id
        if written_to or event.state in (ConnectionState.CONNECTED, ConnectionState.FAILED):
            where = "" if current else f" Write to them with /to {shortened(view.alias)}."
            style = "bold red" if event.state == ConnectionState.FAILED else "dim"
            self._transcript.tell(Text(f"* {self._talk.describe(view)}{where}", style))

    def _contact_changed(self, alias: str) -> None:
        view = next((view for view in self._talk.contacts() if view.alias == alias), None)
        if view is None or view.contact.profile is None or view.contact.id in self._known:
            return  # a name that changes later has a line in the conversation
        self._known.add(view.contact.id)
        self._transcript.tell(f"* {shortened(alias)} calls themselves {shortened(view.contact.profile.display_name)}.")

    def _status_changed(self, event: events.StatusChanged) -> None:
        message = self._service.message(event.id)
        if message is not None and message.status == event.status:  # else deleted, or overtaken by a later event
            self._transcript.status_changed(message)
