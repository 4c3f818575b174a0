"""Whatever comes to a contact address is a request or is refused, and never keeps the next one out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from smpchat.agent.context import Context
from smpchat.agent.errors import EnvelopeRefused
from smpchat.agent.store import addresses
from smpchat.agent.store.database import Database
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.agent.transactions import contact_address
from smpchat.agent.transactions.admitting import MAX_REQUESTS
from smpchat.agent.wire.envelope import InvitationEnvelope
from smpchat.chat.store.schema import CHAT_MIGRATIONS
from smpchat.chat.transactions.incoming import ChatApplication
from smpchat.chat.transactions.requests import view
from smpchat.chat.wire.bodies import compress_body
from smpchat.chat.wire.message import ContactRequest, encode_contact_request
from smpchat.chat.wire.profile import Profile
from tests.unit.agent.agents import NOW, Agent
from tests.unit.agent.transactions.test_contact_address import DATA, full_link, invitation, request_of, sealed

INFO = encode_contact_request(ContactRequest(Profile("Bob"), "b25l", "hello", "dHdv", "dGhyZWU="))
infos = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=200).map(compress_body),
    st.text(max_size=50).map(lambda name: encode_contact_request(ContactRequest(Profile(name), *4 * [name]))),
    st.tuples(st.integers(0, len(INFO)), st.binary(max_size=5)).map(lambda cut: INFO[: cut[0]] + cut[1]),
    st.just(INFO),
)


@contextmanager
def owners() -> Iterator[tuple[Agent, bytes, bytes]]:
    """Alice with an address and the whole chat layer; an invitation of somebody's; a request that is well-formed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alice = Agent("alice", folder)
        alice.database.close()
        alice.database = Database(folder / "both.db", {"agent": AGENT_MIGRATIONS, "chat": CHAT_MIGRATIONS})
        alice.database.connection.execute("PRAGMA synchronous = OFF")
        application = ChatApplication(lambda _: Profile("alice"), lambda: NOW, alice.entropy.random)
        alice.context = Context(application, alice.entropy, lambda: NOW)
        with alice.database.transaction() as tx:
            alice.id = contact_address.publish(tx, alice.context, DATA, auto_accept=False)
        alice.carry_out()
        yield alice, invitation(folder), request_of(Agent("bob", folder), full_link(alice), INFO)
        alice.database.close()


def takes(alice: Agent, body: bytes) -> bool:
    """Whether the body was a request; anything but that and a refusal fails the test."""
    try:
        alice.receive(body)
    except EnvelopeRefused:
        return False
    return True


def test_any_body_is_refused_and_a_request_still_comes_through() -> None:
    with owners() as (alice, _, request):

        @settings(max_examples=150, deadline=None)
        @given(st.one_of(st.binary(max_size=300), st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=3))))
        def body(data: bytes | tuple[int, bytes]) -> None:
            if isinstance(data, tuple):  # a request with a few bytes changed
                at, other = data
                data = request[:at] + other + request[at + len(other) :]
            takes(alice, data)

        body()
        assert takes(alice, request)
        assert [view(alice.tx, kept).text for kept in addresses.requests(alice.tx)] == ["hello"]


def test_any_envelope_is_refused_and_a_request_still_comes_through() -> None:
    with owners() as (alice, _, request):

        @settings(max_examples=150, deadline=None)
        @given(st.binary(max_size=300), st.sampled_from([b"", b"\x00\x07C", b"\x00\x07M", b"\x00\x07I", b"\x00\x07R"]))
        def envelope(data: bytes, tag: bytes) -> None:
            assert not takes(alice, sealed(alice, tag + data))

        envelope()
        assert takes(alice, request)


def test_any_link_and_any_words_make_a_request_that_can_be_shown_or_none() -> None:
    with owners() as (alice, link, request):
        damaged = st.tuples(st.integers(0, len(link)), st.binary(max_size=6)).map(
            lambda change: link[: change[0]] + change[1] + link[change[0] + len(change[1]) :]
        )

        @settings(max_examples=200, deadline=None)
        @given(st.one_of(st.just(link), damaged, st.binary(max_size=100)), infos)
        @example(link, INFO)
        @example(link, b'{"event":"x.info","params":{"profile":{"displayName":"\\ud800","fullName":""}}}')
        def words(text: bytes, info: bytes) -> None:
            taken = takes(alice, sealed(alice, InvitationEnvelope(7, text, info)))
            kept = addresses.requests(alice.tx)
            assert len(kept) <= addresses.count_requests(alice.tx) <= MAX_REQUESTS
            for one in kept:
                assert view(alice.tx, one).name
                with alice.database.transaction() as tx:
                    contact_address.reject(tx, one)
            assert not kept or taken

        words()
        assert takes(alice, request)
