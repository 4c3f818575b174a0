"""Agents without network or loop: the outbox is carried out by hand, what is sent is put into the other's receiver."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from smpchat.agent.context import Context
from smpchat.agent.errors import EnvelopeRefused
from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.machines.handshake_states import Terms
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.store import connections, links, outgoing
from smpchat.agent.store.addresses import ReceivedRequest
from smpchat.agent.store.connections import Connection, ReceiveQueue
from smpchat.agent.store.database import Database
from smpchat.agent.store.outgoing import SENDS, Kind, OutboxItem
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.agent.transactions import connection, outbox, receiving, sending
from smpchat.agent.transactions.outbox import Verdict
from smpchat.agent.transactions.receiving import Received
from smpchat.agent.wire.links import InvitationLink, parse_link
from smpchat.agent.wire.short_links import ShortInvitation
from smpchat.client.trouble import Trouble
from smpchat.crypto.kem import KEMProvider
from smpchat.crypto.keys import X25519PrivateKey
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import BrokerMessage, Ids, LGet, LKey, Lnk, New, Send
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.messages import QuotaMarker, RcvMessage, seal_message
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import SMP_VERSIONS
from smpchat.testing.entropy import SeededEntropy

INSTANT = Terms(sender_securable=True, reply_key=True)
STANDARD = Terms(sender_securable=False, reply_key=False)
RELAY = SMPServer(("relay.test",), "", bytes(32))
NOW = 1_700_000_000.0


@dataclass
class Recorder:
    """An application that notes what it is told."""

    told: list[tuple[str, object]] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    """When the relay got each message, as it was told."""
    receipts: bool = True
    over: list[NoticeKind] = field(default_factory=list)
    same_as: str | None = None
    """Id of every contact request."""

    def connection_info(self, tx: sqlite3.Connection, connection_id: int) -> bytes:
        return b'{"info":true}'

    def link_info(self, tx: sqlite3.Connection, connection_id: int) -> bytes:
        return b'{"link":true}'

    def link_info_received(self, tx: sqlite3.Connection, connection_id: int, info: bytes) -> None:
        self.told.append(("link info", info))

    def state_changed(self, tx: sqlite3.Connection, connection: Connection) -> None:
        self.told.append(("state", type(connection.state).__name__))

    def peer_info_received(self, tx: sqlite3.Connection, connection_id: int, info: bytes) -> str | None:
        self.told.append(("info", info))
        return None

    def message_received(
        self, tx: sqlite3.Connection, connection_id: int, body: bytes, sent_at: int, integrity: Integrity
    ) -> bool:
        self.told.append(("message", (body, integrity)))
        self.times.append(sent_at)
        return self.receipts

    def gives_receipts(self, tx: sqlite3.Connection, connection_id: int) -> bool:
        return self.receipts

    def message_sent(self, tx: sqlite3.Connection, reference: int) -> None:
        self.told.append(("sent", reference))

    def message_delivered(self, tx: sqlite3.Connection, reference: int) -> None:
        self.told.append(("delivered", reference))

    def message_failed(self, tx: sqlite3.Connection, reference: int, reason: str) -> None:
        self.told.append(("failed", (reference, reason)))

    def mended(self, tx: sqlite3.Connection, connection_id: int, *kinds: NoticeKind) -> None:
        self.over.extend(kinds)

    def notice(
        self,
        tx: sqlite3.Connection,
        connection_id: int,
        sentence: str,
        kind: NoticeKind = NoticeKind.INFORMATION,
    ) -> None:
        self.told.append(("notice", sentence))

    def request_id(self, info: bytes) -> str | None:
        if not info.startswith(b"{"):
            raise EnvelopeRefused("no request")
        return self.same_as

    def request_received(self, tx: sqlite3.Connection, request: ReceivedRequest) -> None:
        self.told.append(("request", request))

    def request_accepted(
        self, tx: sqlite3.Connection, context: Context, connection_id: int, request: ReceivedRequest
    ) -> None:
        self.told.append(("accepted", connection_id))

    def file_uploaded(self, tx: sqlite3.Connection, file_id: int, descriptions: tuple[str, ...]) -> None:
        self.told.append(("uploaded", (file_id, descriptions)))

    def file_received(self, tx: sqlite3.Connection, file_id: int, path: Path) -> None:
        self.told.append(("file", (file_id, path)))

    def file_failed(self, tx: sqlite3.Connection, file_id: int, trouble: Trouble) -> None:
        self.told.append(("file failed", (file_id, trouble)))

    def all(self, kind: str) -> list[object]:
        return [what for which, what in self.told if which == kind]


_to_close: list[Database] = []
"""Databases whose owners were collected as garbage in another thread, where SQLite does not close them."""


def close_with(owner: object, database: Database) -> None:
    """Close a database when its owner is gone: no test does, and from 3.13 on Python warns of one that is left open."""

    def close() -> None:
        try:
            database.close()
        except sqlite3.ProgrammingError:
            _to_close.append(database)

    while _to_close:
        _to_close.pop().close()
    weakref.finalize(owner, close)


class Agent:
    """One profile, looked at through one connection of it.

    Args:
        messaging: Its relay lets senders secure queues.
        version: SMP version that its relay speaks.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        kem: KEMProvider | None = None,
        *,
        messaging: bool = True,
        version: int = SMP_VERSIONS.maximum,
    ) -> None:
        self.messaging = messaging
        self.version = version
        self.entropy = SeededEntropy(name)
        folder.mkdir(parents=True, exist_ok=True)
        self.database = Database(folder / f"{name}.db", {"agent": AGENT_MIGRATIONS})
        close_with(self, self.database)
        self.application = Recorder()
        self.context = Context(self.application, self.entropy, lambda: self.now, kem)
        self.now = NOW
        self.id = 0
        self.news: list[New] = []
        self.lnk: BrokerMessage | None = None
        """What relays answer to LGET."""

    @property
    def tx(self) -> sqlite3.Connection:
        return self.database.connection

    @property
    def connection(self) -> Connection:
        return connections.load(self.tx, self.id)

    @property
    def queue(self) -> ReceiveQueue:
        queue = connections.receive_queue(self.tx, self.id)
        assert queue is not None
        return queue

    @property
    def messages(self) -> list[object]:
        return self.application.all("message")

    @property
    def notices(self) -> list[str]:
        return [str(notice) for notice in self.application.all("notice")]

    def do(self, action: Callable[[sqlite3.Connection, Context], object]) -> None:
        with self.database.transaction() as tx:
            action(tx, self.context)

    def invite(self, terms: Terms = INSTANT) -> str:
        with self.database.transaction() as tx:
            self.id = connection.invite(tx, self.context, terms)
        self.carry_out()
        link = self.connection.link
        assert link is not None
        return link

    @property
    def short_link(self) -> str | None:
        return links.texts(self.tx).get(self.id)

    def join(self, text: str, *, held: bool = False) -> None:
        link = parse_link(text)
        with self.database.transaction() as tx:
            if isinstance(link, ShortInvitation):
                self.id = connection.join_short(tx, self.context, link, held=held)
            else:
                assert isinstance(link, InvitationLink)
                self.id = connection.join(tx, self.context, link)

    def join_short_link_of(self, other: Agent, *, held: bool = False) -> None:
        assert other.short_link is not None
        self.lnk = other.lnk
        self.join(other.short_link, held=held)

    def next(self) -> list[OutboxItem]:
        """The first item of each lane."""
        lanes = outgoing.lanes(self.tx, self.now)
        return [outgoing.head(self.tx, *lane, 1, self.now)[0] for lane in lanes]

    def carry_out(self, *, stop_at: frozenset[Kind] = frozenset()) -> list[bytes]:
        """Everything in the outbox, answered OK; bodies of what was sent, in order."""
        sent: list[bytes] = []
        while items := [item for item in self.next() if item.kind not in stop_at]:
            for item in items:
                sent += self._carry_out(item)
        return sent

    def _carry_out(self, item: OutboxItem) -> list[bytes]:
        if item.kind is Kind.CREATE:
            self._create(item)
            return []
        if item.kind is Kind.REACH:
            self.do(lambda tx, context: outbox.reached(tx, context, item))
            return []
        if item.kind is Kind.RECEIPT:
            self.do(lambda tx, context: sending.seal_receipt(tx, context, item))
            return []
        request = outbox.request(self.tx, item)
        answer = self.lnk if isinstance(request.command, LGet | LKey) else None
        self.do(lambda tx, context: outbox.accepted(tx, context, item, request.entity_id, answer))
        return [request.command.body] if isinstance(request.command, Send) else []

    def _create(self, item: OutboxItem) -> None:
        with self.database.transaction() as tx:
            creation = outbox.prepare_creation(tx, self.context, item, RELAY, self.version)
            server_key = X25519PrivateKey.generate(self.entropy)
            mode = QueueMode.MESSAGING if creation.messaging and self.messaging else None
            keyed = creation.reply_key is not None
            command = creation.request(self.version, keyed=keyed, password=None).command
            assert isinstance(command, New)
            self.news.append(command)
            link = command.queue.link if command.queue else None
            if command.queue is not None and command.queue.mode is QueueMode.CONTACT:
                mode = QueueMode.CONTACT
            ids = Ids(
                self.entropy.random(24),
                link.sender_id if link else self.entropy.random(24),
                server_key.public(),
                queue_mode=mode,
                link_id=(link.link_id or self.entropy.random(24)) if link else None,
            )
            if link is not None and command.queue is not None and command.queue.mode is QueueMode.MESSAGING:
                self.lnk = Lnk(link.sender_id, link.fixed, link.user)
            outbox.created(tx, self.context, item, creation, RELAY, self.version, ids, keyed=keyed)

    def began(self, connection_id: int) -> None:
        """This is the connection to look at from now on."""
        self.id = connection_id

    def answer_creation(self, ids: Ids) -> None:
        """The first NEW in the outbox is answered with these ids."""
        item = next(item for item in self.next() if item.kind is Kind.CREATE)
        with self.database.transaction() as tx:
            creation = outbox.prepare_creation(tx, self.context, item, RELAY, self.version)
            outbox.created(tx, self.context, item, creation, RELAY, self.version, ids, keyed=False)

    def refuse(self, code: ErrorCode = ErrorCode.AUTH) -> Verdict:
        """The first SEND, or LKEY, in the outbox is answered with an error."""
        item = next(item for item in self.next() if item.kind in SENDS | {Kind.READ_LINK})
        request = outbox.request(self.tx, item)
        with self.database.transaction() as tx:
            return outbox.refused(tx, self.context, item, code, request.entity_id)

    def receive(self, body: bytes | None, msg_id: bytes | None = None, *, at: float = NOW) -> Received | None:
        """What a relay pushes: the body of a SEND that it took at a time, or the quota marker for None."""
        msg_id = msg_id or self.entropy.random(24)
        content = QuotaMarker(int(at)) if body is None else RcvMessage(int(at), True, body)
        assert self.queue.dh_secret is not None
        sealed = seal_message(self.queue.dh_secret, msg_id, content)
        with self.database.transaction() as tx:
            return receiving.receive(tx, self.context, RELAY, self.queue.rcv_id, msg_id, sealed)


def exchange(*agents: Agent) -> None:
    """Deliver until nothing is left."""
    a, b = agents
    moved = True
    while moved:
        moved = False
        for sender, reader in ((a, b), (b, a)):
            for body in sender.carry_out():
                moved = True
                reader.receive(body)


def connected(folder: Path, terms: Terms = INSTANT, kem: KEMProvider | None = None) -> tuple[Agent, Agent]:
    """The initiator and the joiner of a finished connection."""
    alice, bob = Agent("alice", folder, kem), Agent("bob", folder, kem)
    bob.join(alice.invite(terms))
    exchange(alice, bob)
    alice.application.told.clear()
    bob.application.told.clear()
    return alice, bob
