"""Sends messages and changes of messages: they are stored, and then the command stays online until they are sent.

If another process is online for the profile, that process sends what the command has stored. The command then does not
import asyncio or the network code, so that scripts can send many messages quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from smpchat.agent.machines.notices import NoticeKind
from smpchat.chat.errors import DeliveryFailed
from smpchat.chat.online.beside import handed_over
from smpchat.chat.online.patience import Patience, RelayDown
from smpchat.chat.online.settling import Looks, Waited, flushing, settling
from smpchat.chat.online.wait import Wait
from smpchat.chat.service.attention import DECISIONS, blocks_texts
from smpchat.chat.service.writing import WritingProfile
from smpchat.chat.store import events
from smpchat.chat.store.conditions import Condition
from smpchat.chat.store.records import Message, MessageStatus
from smpchat.chat.transactions.changes import SentChange
from smpchat.cli import running
from smpchat.cli.arguments import WaitChange
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus, status_of
from smpchat.cli.text import happened_and_advice, plural, shortened
from smpchat.cli.views.conditions import show_condition
from smpchat.cli.views.messages import show_message, show_status
from smpchat.client.trouble import Trouble

_LEFT_AT = {
    True: "The message is saved and will be sent.",
    False: "The message was sent. `smpchat listen` shows when it is delivered.",
}
"""What the user is told after Ctrl-C. The key says whether the message is still pending."""
_KEPT = "The message is saved; the next command that goes online sends it."

T = TypeVar("T")
_WORST_FIRST = (MessageStatus.FAILED, MessageStatus.PENDING, MessageStatus.SENT, MessageStatus.DELIVERED)


def deliver(
    environment: Environment,
    who: str | None,
    text: str,
    wait: Wait | None,
    patience: float | None,
    reply_to: int | None = None,
    *,
    anyway: bool = False,
) -> int:
    """Store a message and send it; a reply without ``who`` goes to the conversation of the message that it answers.

    Args:
        anyway: Send the message, and those that are already held, although the contact's keys have changed.
    """

    def make(service: WritingProfile) -> Message:
        if who is not None:
            return service.send(who, text, reply_to, anyway=anyway)
        assert reply_to is not None
        return service.send(service.required_message(reply_to).contact, text, reply_to)

    return deliver_message(environment, make, wait, patience)


def deliver_held(environment: Environment, who: str) -> int:
    """Send the messages that are held because a contact's keys have changed."""
    service = environment.open_as(WritingProfile)
    try:
        before = service.contact(who).pending
        alias = service.write_anyway(who).alias
        _follow(environment, service, flushing(service))
        left = service.contact(alias).pending
        environment.notice(f"{plural(before - left, 'message')} to {shortened(alias)} sent, {left} pending.")
        return ExitStatus.OK
    finally:
        service.close()


def deliver_message(
    environment: Environment, make: Callable[[WritingProfile], Message], wait: Wait | None, patience: float | None
) -> int:
    """Store the message that ``make`` makes, and send it."""
    service = environment.open_as(WritingProfile)
    try:
        message = make(service)
        delivery = _Delivery.of_message(environment, service, message, wait, patience)
        with _interruptible(delivery):
            show_message(environment, message)
            delivery.wait_for()
        return ExitStatus.OK
    finally:
        service.close()


async def wait_online_for_message(
    environment: Environment, service: WritingProfile, message: Message, wait: Wait | None, patience: float | None
) -> None:
    """Wait until a message of ours, which was already printed, has the status that ``wait`` asks for. Call this
    only while this process is online. Raises `CommandFailed`."""
    await _Delivery.of_message(environment, service, message, wait, patience).wait_online_for()


def deliver_change(
    environment: Environment,
    make: Callable[[WritingProfile], SentChange],
    wait: WaitChange | None,
    patience: float | None,
) -> int:
    """Change a message in the store, and wait until the change is sent. Apps send no receipts for changes, so there is
    nothing more to wait for."""
    return deliver_changes(environment, lambda profile: [make(profile)], wait, patience)


def deliver_changes(
    environment: Environment,
    make: Callable[[WritingProfile], list[SentChange]],
    wait: WaitChange | None,
    patience: float | None,
) -> int:
    """Change several messages in the store, and wait until all these changes are sent."""
    service = environment.open_as(WritingProfile)
    try:
        made = make(service)
        changed = [change.message or service.required_message(change.message_id) for change in made]
        asked, deliveries = None if wait is None else Wait(wait.value), []
        for who in dict.fromkeys(message.contact for message in changed):
            ids = [change.id for change, message in zip(made, changed, strict=True) if message.contact == who]
            deliveries.append(_Delivery.of_changes(environment, service, who, ids, asked, patience))
        with _interruptible(*deliveries):
            for message in changed:
                show_message(environment, message)
            for delivery in deliveries:
                delivery.wait_for()
        return ExitStatus.OK
    finally:
        service.close()


class _Delivery:
    """Waits until a message, or several changes of messages, have the status asked for, and tells the user the result.

    Args:
        asked: The status to wait for. None: wait for the status ``usual``, but stop early if waiting cannot help.
    """

    def __init__(
        self,
        environment: Environment,
        service: WritingProfile,
        who: str,
        status: Callable[[], MessageStatus],
        reason: Callable[[], str | None],
        asked: Wait | None,
        patience: float | None,
        usual: Wait,
    ) -> None:
        self._environment, self._service, self._who = environment, service, who
        self._status, self._reason = status, reason
        self._wait, self._held_is_enough = (usual, True) if asked is None else (asked, False)
        self._patience = Patience.of(patience)

    @staticmethod
    def of_message(
        environment: Environment, service: WritingProfile, message: Message, wait: Wait | None, patience: float | None
    ) -> _Delivery:
        """Make the delivery of one message, which was already printed. The delivery prints each change of the message's
        status."""
        shown = message.status

        def status() -> MessageStatus:
            nonlocal shown
            current, reason = service.fate(message)
            if current is not shown and service.message(message.id) is not None:
                shown = current
                show_status(environment, events.StatusChanged(message.id, message.contact, current, reason))
            return current

        def reason() -> str | None:
            return service.fate(message)[1]

        usual = Wait(environment.setting("wait"))
        return _Delivery(environment, service, message.contact, status, reason, wait, patience, usual)

    @staticmethod
    def of_changes(
        environment: Environment,
        service: WritingProfile,
        who: str,
        change_ids: list[int],
        wait: Wait | None,
        patience: float | None,
    ) -> _Delivery:
        """Make one delivery for several changes of messages; its status is the worst among these changes."""

        def found() -> list[SentChange | None]:
            return [service.change(change_id) for change_id in change_ids]

        def status() -> MessageStatus:
            """The worst status of the changes; a change that is no longer stored counts as failed."""
            known = {change.status if change else MessageStatus.FAILED for change in found()}
            return next(status for status in _WORST_FIRST if status in known)

        def reason() -> str | None:
            return next((change.reason for change in found() if change and change.reason), None)

        # Apps send no receipts for changes, so there is nothing to wait for after *sent*.
        usual = Wait.NONE if environment.setting("wait") == Wait.NONE.value else Wait.SENT
        return _Delivery(environment, service, who, status, reason, wait, patience, usual)

    def is_pending(self) -> bool:
        """Whether the message, or one of the changes, was not sent yet."""
        return self._status() is MessageStatus.PENDING

    def wait_for(self) -> None:
        """Wait for the wanted status, while this process or another one is online. Raises `CommandFailed`."""
        if self._wait is not Wait.NONE:
            self._tell(_follow(self._environment, self._service, self._looks()))

    async def wait_online_for(self) -> None:
        """Wait for the wanted status, in an event loop in which this process is online. Raises `CommandFailed`."""
        from asyncio import CancelledError

        from smpchat.chat.online.waiting import follow

        if self._wait is Wait.NONE:
            return
        looks = self._looks()
        try:
            waited = await follow(self._service, looks)
        except CancelledError:  # raised by asyncio.run after Ctrl-C
            raise _interrupted(self) from None
        self._tell(waited)

    def _looks(self) -> Looks[Waited]:
        service, who = self._service, self._who
        connection = service.contact(who).contact.connection_id
        blocked = blocks_texts(service.conditions(who)) if self.is_pending() else None
        if blocked is not None and blocked.kind in DECISIONS:  # waiting does not help: the user must decide
            show_condition(self._environment, blocked)
            raise CommandFailed(ExitStatus.VERIFICATION, *_held(blocked))
        return settling(
            service, connection, self._status, self._wait, self._patience, held_is_enough=self._held_is_enough
        )

    def _tell(self, waited: Waited) -> None:
        """Tell the user the result of the wait. Raises `CommandFailed` if the status asked for was not reached."""
        who = self._who
        if waited.status is MessageStatus.FAILED:
            because, advice = happened_and_advice(self._reason() or "The contact was deleted.")
            raise CommandFailed(ExitStatus.REFUSED, because, advice or DeliveryFailed.hint)
        down = None if waited.obstacle is None else RelayDown(waited.obstacle, shortened(who))
        pending = waited.status is MessageStatus.PENDING
        waits_for = blocks_texts(self._service.conditions(who)) if pending else None
        if waits_for is not None and waits_for.kind == NoticeKind.OUT_OF_STEP:
            show_condition(self._environment, waits_for)
            if not waited.enough:
                happened, advice = happened_and_advice(waits_for.text)
                raise CommandFailed(ExitStatus.TIMEOUT, happened, advice)
            return
        if waited.enough:
            if down is not None:  # a full queue: nothing went wrong, but the person may want to know
                self._environment.notice(f"{down} {down.hint}")
            return
        if down is None:
            raise _not_yet(waited.status)
        kept = "" if down.kind is Trouble.FULL_QUEUE else _KEPT
        raise CommandFailed(status_of(down.kind), str(down), f"{down.hint} {kept}".rstrip())


@contextmanager
def _interruptible(*deliveries: _Delivery) -> Iterator[None]:
    """If Ctrl-C is pressed in the ``with`` block, end the command, and tell the user whether everything was sent."""
    try:
        yield
    except KeyboardInterrupt:
        raise _interrupted(*deliveries) from None


def _interrupted(*deliveries: _Delivery) -> CommandFailed:
    pending = any(delivery.is_pending() for delivery in deliveries)
    return CommandFailed(ExitStatus.INTERRUPTED, "Interrupted.", _LEFT_AT[pending])


def _follow(environment: Environment, service: WritingProfile, looks: Looks[T]) -> T:
    """Wait until ``looks`` has a result, and return it. As long as another process is online for the profile, this
    process only waits. If there is no such process, or it ends, this process goes online itself."""
    if (found := handed_over(service, looks)) is not None:
        return found

    async def go_on() -> T:
        from smpchat.chat.online.presence import online
        from smpchat.chat.online.waiting import follow

        async with online(service, environment.relay()):
            return await follow(service, looks, begun=True)

    return running.run_loop(go_on())


def _held(why: Condition) -> tuple[str, str]:
    """The sentences for a message that is held until the user decides: what happened, and what to do."""
    alias = shortened(why.contact or "")
    because = "the security code has changed" if why.kind == NoticeKind.CODE_CHANGED else "new encryption keys came"
    return f"The message to {alias} is held, not sent: {because}.", happened_and_advice(why.text)[1]


def _not_yet(status: MessageStatus) -> CommandFailed:
    """The error if the time limit ended before the message reached the wanted status.

    Args:
        status: The present status of the message. The error says what must still happen.
    """
    if status is MessageStatus.SENT:
        said = "The message is sent, but not delivered yet."
        hint = (
            "It waits at the relay until your contact comes online. `smpchat listen` shows when it is delivered, unless"
            " your contact has turned receipts off."
        )
    else:
        said = "The message is still pending."
        hint = "It is sent automatically when possible. `smpchat status` shows what it is waiting for."
    return CommandFailed(ExitStatus.TIMEOUT, said, hint)
