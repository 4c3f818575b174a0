"""The current contact in `chat`, and what is known about the other contacts.

An incoming message never changes the current contact. Only `Conversation.go_to` and `Conversation.next_unread` change
the current contact. Messages of other contacts are neither shown nor marked as shown; they are only counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from shutil import get_terminal_size

from rich.console import RenderableType
from rich.text import Text

from smpchat.agent.errors import AgentError
from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.agent.machines.notices import NoticeKind
from smpchat.chat.errors import ChatError, InputError, UnknownContact
from smpchat.chat.service.attention import DECISIONS, blocks_texts
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.views import ContactView
from smpchat.chat.store.address import RequestView
from smpchat.chat.store.records import Direction, Message
from smpchat.chat.wire.alias import fold
from smpchat.chat.wire.content import GROUP_INVITATION
from smpchat.chat.wire.durations import duration_text
from smpchat.cli.chat.bell import Bell
from smpchat.cli.chat.outgoing import OutgoingFiles
from smpchat.cli.chat.transcript import Transcript
from smpchat.cli.environment import Environment
from smpchat.cli.notifying import Notifier
from smpchat.cli.text import narrowed, printable, quoted, shortened
from smpchat.cli.times import since
from smpchat.cli.views.conditions import condition_line, in_short, relay_name
from smpchat.cli.views.connections import not_yet, waits_for
from smpchat.cli.views.contacts import move_sentence
from smpchat.cli.views.groups import about_group, about_joining
from smpchat.cli.views.links import request_text
from smpchat.cli.views.messages import TICKS, to_how_many, unread_summary
from smpchat.protocol.address import FileServer

HISTORY = 20
"""When a conversation is opened, this many of its last messages are shown; more if more are unread."""
_READ = 5
"""This many read messages are shown before the unread ones, so that it is clear what the unread ones are about."""
_SCREENS = 2
"""When a conversation with many unread messages is opened, at most this many screens full of messages are printed: more
would scroll by unseen, and printing 20,000 messages takes half a minute."""


def choose(service: ChatService, who: str | None) -> int | None:
    """The contact to begin with: the named one, otherwise the contact with the newest message. Contacts with unread
    messages go before all others.

    Returns:
        The contact's number; None if there are no contacts yet, but an unused invitation or an address.
    Raises:
        InputError: There are no contacts, or none with this name.
    """
    if who is not None:
        try:
            return service.contact(who).contact.id
        except UnknownContact:
            if any(fold(who.removeprefix("@")) == fold(i.note or "") for i in service.invitations()):
                raise InputError(
                    f"Nobody has used your invitation for {who!r} yet.", "`smpchat status` shows its link again."
                ) from None
            raise
    found = service.contacts()
    if found:
        return max(found, key=lambda view: (view.contact.unread > 0, view.newest)).contact.id
    if service.invitations() or service.address() is not None:
        return None
    raise InputError("No contacts yet.", "Make a link for someone with `smpchat invite`.")


class Conversation:
    """One run of `chat`: the current contact, and its transcript.

    Args:
        show: Prints something above the prompt.

    Attributes:
        after: Number of the last event before this run.
    """

    def __init__(
        self,
        environment: Environment,
        service: ChatService,
        contact_id: int | None,
        show: Callable[[RenderableType], object],
    ) -> None:
        self.environment, self.service = environment, service
        self.after = service.last_event()  # before the contacts are read, so that nothing in between is missed
        self.transcript = Transcript(environment, show)
        self.bell = Bell(service, environment.now, environment.setting("notifications") == "bell")
        self.notifier = Notifier(environment, rings=False)
        # The contact is kept by its number, because its alias may change meanwhile.
        self._contact_id = contact_id
        self._views: dict[int, ContactView] = {}
        self._ttl: int | None = None  # seconds after which messages with the current contact disappear
        self._counted: dict[str, int] = {}  # for each alias, how many unread messages the user was told about
        self._seen = (0, 0)  # the page printed last: numbers of its first and last message
        self.invited: set[int] = set()  # invitations made here whose links are not printed yet
        self.apart: set[int] = set()  # messages to other contacts, which are not shown here
        self.outgoing = OutgoingFiles(service, self._show_sent, self._not_sent)
        self.owns_files: Callable[[FileServer], bool] = environment.relay().owns_files
        self.refresh()

    # -- contacts -----------------------------------------------------------------------------------------------------

    @property
    def current(self) -> ContactView | None:
        """The current contact; None if there is none yet, or the contact was deleted."""
        return self._views.get(self._contact_id) if self._contact_id is not None else None

    @property
    def contact_id(self) -> int | None:
        """Number of the current contact; see `current`."""
        view = self.current
        return None if view is None else view.contact.id

    def own_texts(self, limit: int) -> list[tuple[int, str]]:
        """The user's last messages to the current contact, newest first: the number and text of each. See
        `StoredMessages`."""
        view = self.current
        return [] if view is None else self.service.own_texts(view.alias, limit)

    def contacts(self) -> Iterable[ContactView]:
        """All contacts and groups."""
        return self._views.values()

    def aliases(self) -> list[str]:
        """All aliases, for completion."""
        return [view.alias for view in self._views.values()]

    def requests(self) -> list[RequestView]:
        """The requests that wait for an answer; `completion` offers their numbers."""
        return self.service.requests()

    def unread(self) -> dict[str, int]:
        """How many messages from each contact are unread, by alias. The current contact, and contacts without unread
        messages, are left out."""
        return {v.alias: v.contact.unread for n, v in self._views.items() if n != self._contact_id and v.contact.unread}

    def unseen(self) -> int:
        """The number of all unread messages, without those from the current contact and from muted contacts."""
        others = (view for number, view in self._views.items() if number != self._contact_id)
        return sum(view.contact.unread for view in others if view.muted_until is None)

    def refresh(self) -> None:
        """Read the contacts again."""
        self._views = {view.contact.id: view for view in self.service.contacts()}
        view = self.current
        self._ttl = None if view is None else self._lasting(view.alias)
        self.standing = self.service.conditions()

    def lasts(self, line: str) -> bool:
        """Whether a line may be remembered while `chat` runs. False if the line can contain words of a disappearing
        message."""
        who = line[1:].partition(" ")[0] if line.startswith("@") else self.current.alias if self.current else None
        try:
            return who is None or self._lasting(who) is None
        except UnknownContact:
            return True

    def _lasting(self, who: str) -> int | None:
        """Seconds after which messages with a contact, or in a group, disappear; None if they stay."""
        details = self.service.details(who)
        group = details.view.group
        return details.agreement.ttl if group is None else group.disappear_after

    def need_contact(self) -> ContactView:
        """The current contact. Raises `InputError` if there is no current contact."""
        view = self.current
        if view is None:
            raise InputError("No contact is chosen.", "Choose a contact with /to WHO.")
        return view

    def begin(self) -> None:
        """Show the end of the current conversation, with its unread messages and problems."""
        view = self.current
        self._seen = (0, 0)
        self.transcript.forget()
        if view is None:
            waits = "nobody has used your invitation" if self.service.invitations() else "nobody has used your address"
            self.transcript.tell(f"No contacts yet: {waits}. /help lists the commands.")
            self.show_requests()
            return
        most = max(HISTORY, min(view.contact.unread + _READ, _SCREENS * get_terminal_size().lines))
        found = self.service.history(view.alias, most)
        messages = [message for message in found if not message.held]
        happened = self.service.notices(view.alias, found[0].sent_at if len(found) >= most else 0)
        self._tell_earlier(view, found)
        unread = next((m.id for m in messages if m.direction is Direction.RECEIVED and not m.shown), None)
        changing = self.transcript.begin(messages, happened, unread)
        # Messages and notices are marked as shown only after they were printed: if this process is killed in between,
        # they are printed twice, but never lost.
        self.service.mark_notices_shown(*(notice.id for notice in happened))
        self.service.mark_all_shown(messages)
        if view.state.state != ConnectionState.CONNECTED:
            self.transcript.tell(f"* {self.describe(view)}")
        if view.move is not None:
            self.transcript.tell(f"* {move_sentence(view.alias, view.move, self.environment.now())}")
        if any(message.content == GROUP_INVITATION for message in messages):
            self.tell_invitations(view.alias)
        for condition in view.conditions:
            self.transcript.tell(Text(condition_line(self.environment, condition), "bold red"))
        self.show_requests()
        self.transcript.growing(self.service.being_written(view.alias))
        self.transcript.keep_beside(changing)
        self.transcript.moving(self.service.moving_files(view.alias), self.outgoing.encrypting())
        self.refresh()
        self.count_unread()

    def _tell_earlier(self, view: ContactView, found: list[Message]) -> None:
        """Say how many earlier messages were not printed, and how to see them; or that the conversation is empty."""
        if not found:
            self.transcript.tell(f"No messages with {shortened(view.alias)} yet. Type one, and press Enter.")
            return
        self._seen = (found[0].id, found[-1].id)
        earlier = self.service.count_earlier(view.alias, found[0].id)
        unread = view.contact.unread - sum(m.direction is Direction.RECEIVED and not m.shown for m in found)
        if earlier:
            which = f", {unread:,} of them unread" if unread > 0 else ""
            self.transcript.tell(f"… {earlier:,} earlier{which}: /history")
        if unread > 0:  # after telling, for the same reason as in `begin`
            self.service.skip_unread(view.alias, found[0].id)

    def last(self, count: int) -> None:
        """Print the last ``count`` messages again."""
        self._print_page(self.service.history(self.need_contact().alias, count))

    def page(self, *, back: bool) -> None:
        """Print the page of older messages before the last printed page; without ``back``, the page of newer messages
        after it."""
        alias, (first, last) = self.need_contact().alias, self._seen
        size = max(_READ, get_terminal_size().lines - _READ)
        found = self.service.earlier(alias, first, size) if back else self.service.later(alias, last, size)
        if not found:
            end = "This is the first message." if back else "This is the last message."
            self.transcript.tell(end if last else "No messages yet.")
            return
        self._print_page(found)
        left = self.service.count_earlier(alias, found[0].id)
        if back and left:
            self.transcript.tell(f"… {left:,} earlier: /history. Forward: /history forward")

    def _print_page(self, found: list[Message]) -> None:
        messages = [message for message in found if not message.held]
        if not messages:
            self.transcript.tell("No messages yet.")
            return
        self._seen = (messages[0].id, messages[-1].id)
        self.transcript.again(messages)
        self.service.were_read(messages)

    def is_the_only(self, view: ContactView) -> bool:
        """Whether a text that the user types can only be for this contact: the user can write to the contact, has no
        other contact, and has no unused invitation."""
        usable = view.state.state in (ConnectionState.READY, ConnectionState.CONNECTED)
        return usable and len(self._views) == 1 and not self.service.invitations()

    def go_to(self, view: ContactView) -> None:
        """Make another contact the current one."""
        self._contact_id = view.contact.id
        self.refresh()
        self.transcript.show(Text(f"Now writing to {shortened(view.alias)}.", "bold"))
        self.begin()

    def next_unread(self) -> bool:
        """Go to the next contact with unread messages, in the order of the list of contacts; returns False if there is
        none."""
        order = list(self._views)
        at = order.index(self._contact_id) + 1 if self._contact_id in self._views else 0
        for contact_id in order[at:] + order[:at]:
            if contact_id != self._contact_id and self._views[contact_id].contact.unread:
                self.go_to(self._views[contact_id])
                return True
        return False

    def send(self, who: str, text: str, reply_to: int | None = None) -> None:
        """Send a message, also to a contact other than the current one."""
        self._show_sent(self.service.send(who, text, reply_to))

    def forward(self, number: int, who: str) -> None:
        """Forward a message, usually to a contact other than the current one."""
        if self.service.has_file(number):
            self.outgoing.begin(self.service.forwarded_file(number, who))
        else:
            self._show_sent(self.service.forward(number, who))

    def _not_sent(self, error: ChatError | AgentError) -> None:
        said = (printable(str(error)), " ", (self.environment.as_typed(error.hint), "dim"))
        self.transcript.tell(Text.assemble(("! ", "bold red"), *said))

    def _show_sent(self, message: Message) -> None:
        view = self.current
        found = blocks_texts(self.service.conditions(message.contact))
        blocked = found if found is not None and found.kind in DECISIONS else None
        if view is not None and message.contact == view.alias:
            self.transcript.sent(message)
            if blocked is not None:
                what = "/verify CODE" if blocked.kind == NoticeKind.CODE_CHANGED else "/resync or /resync refuse"
                self.transcript.tell(Text(f"! Held, not sent. Type {what} first, or send it with /anyway.", "bold red"))
        elif blocked is not None:
            self.transcript.tell(Text(f"to {shortened(message.contact)}: held, not sent", "bold red"))
        else:
            self.apart.add(message.id)
            how = "forwarded, " if message.forwarded else ""
            self.transcript.tell(f"to {shortened(message.contact)}: {how}{message.status}")

    # -- sentences ----------------------------------------------------------------------------------------------------

    def describe(self, view: ContactView) -> str:
        """A sentence about the state of the connection with a contact, such as ``bob is connected.``"""
        alias, state = shortened(view.alias), view.state
        if state.state != ConnectionState.FAILED and self.service.leads_to_group(view.contact.connection_id):
            return about_joining(alias, view.group)
        match state.state:
            case ConnectionState.CONNECTED:
                return f"{alias} is connected."
            case ConnectionState.FAILED:
                return printable(state.reason or f"The connection with {alias} failed.")
            case ConnectionState.READY if state.since is not None:
                moment = since(state.since, self.environment.now())
                return f"You can write to {alias} now. {not_yet(state, alias)} (since {moment})."
        return f"You can write to {alias} now. {not_yet(state, alias)}."

    def in_trouble(self) -> list[str]:
        """The aliases of contacts with problems, except the current one."""
        return [view.alias for number, view in self._views.items() if number != self._contact_id and view.conditions]

    def show_requests(self) -> None:
        """Print the requests that were not shown yet."""
        for request in self.service.unshown_requests():
            self.show_request(request)

    def show_request(self, request: RequestView) -> None:
        """Print a request, and how to answer it."""
        how = f"  (/accept {request.id} or /reject {request.id})"
        self.transcript.show(request_text(self.environment, request).append(how, "dim"))
        self.service.mark_requests_shown(request.id)

    def tell_invitations(self, alias: str) -> None:
        """Say how to accept a contact's invitations to groups."""
        for group in self.service.groups():
            if group.alias is None and group.inviter == alias:
                self.transcript.tell(f"* /join {group.id} joins the group {quoted(group.name)}.")

    def count_unread(self) -> None:
        """Say whose messages are unread, if there is no toolbar that shows this."""
        unread = self.unread()
        more = any(count > self._counted.get(alias, 0) for alias, count in unread.items())
        if more and not self.environment.redraws:
            self.transcript.tell(f"* unread: {unread_summary(unread)} (/next goes there)")
        self._counted = unread

    # -- prompt and toolbar -------------------------------------------------------------------------------------------

    def prompt(self) -> str:
        """The text before the input line."""
        view = self.current
        mark = " (?)" if view is not None and view.contact.self_named else ""
        return f"{narrowed(view.alias, 24)}{mark}> " if view else "> "

    def toolbar(self, columns: int) -> str:
        """The toolbar in one line: the connection, if it is not complete; the status of the user's last message; the
        other contacts with unread messages; and problems."""
        view, mine, unread = self.current, self.transcript.mine, unread_summary(self.unread())
        parts = []
        if view is not None and view.conditions:  # first: a narrow terminal cuts the end off
            parts.append(f"! {in_short(blocks_texts(list(view.conditions)) or view.conditions[0])}")
        if view is None:
            parts.append("no contacts yet")
        elif view.group is not None:
            parts.append(", ".join(about_group(view.group)))
        elif view.state.state != ConnectionState.CONNECTED:
            parts.append(f"{view.state.state}: {waits_for(view.state)}".rstrip(": "))
        if unread:  # before the problems of other contacts, which must not hide it
            parts.append(f"unread: {unread} (Alt-A)")
        if mine is not None and view is not None:
            mark = TICKS.get(mine.status, "") if self.environment.symbols else ""
            # For a message to a group, the number of members who have the message may follow the ticks. The word for
            # the status is then left out to save columns.
            words = [mark] if mark and mine.copies is not None else [str(mine.status), mark]
            parts.append(f"last message {' '.join(filter(None, words))}{to_how_many(mine)}")
        if self._ttl is not None:
            parts.append(f"messages disappear after {duration_text(self._ttl)}")
        if view is not None and view.pending > 1:
            parts.append(f"{view.pending} pending")
        away = [condition for condition in self.standing if condition.server is not None]
        if away:
            parts.append(f"! relay {relay_name(away[0])} not reached")
        troubled = self.in_trouble()
        if troubled:
            parts.append(f"! {', '.join(narrowed(alias, 20) for alias in troubled[:3])}")
        if not unread:
            parts.append("/help")
        line = (" · " if self.environment.symbols else " | ").join(parts)
        return line if len(line) <= columns else line[: max(0, columns - 1)] + "…"
