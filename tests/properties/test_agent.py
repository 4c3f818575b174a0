"""Everything that agents tell each other: round trips, and any bytes or text decode or are refused as documented."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smpchat.agent.errors import LinkDataError, LinkError
from smpchat.agent.machines import delivery
from smpchat.agent.machines.chain import Chain
from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.machines.retry import Delays
from smpchat.agent.machines.subscriptions import SubscriptionPlan
from smpchat.agent.wire import envelope as e
from smpchat.agent.wire.link_data import (
    ConnLinkData,
    FixedLinkData,
    conn_link_data,
    connection_request,
    fixed_link_data,
    open_link,
    seal_link,
)
from smpchat.agent.wire.links import ConnectionLink, InvitationLink, LinkScheme, format_link, parse_link
from smpchat.agent.wire.queue import (
    QueueAddress,
    QueueInfo,
    QueueURI,
    queue_address,
    queue_info,
    queue_uri,
    queue_uri_from_text,
    queue_uri_to_text,
)
from smpchat.agent.wire.short_links import (
    ShortContact,
    ShortInvitation,
    ShortLink,
    format_short_link,
    parse_short_link,
    short_link,
    shorten,
)
from smpchat.agent.wire.user_data import read_user_json, write_user_json
from smpchat.crypto.agreement import (
    E2EParams,
    E2EParamsRange,
    e2e_params,
    e2e_params_from_text,
    e2e_params_range,
    e2e_params_to_text,
)
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.encoding.codec import Codec
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import replace
from smpchat.encoding.zstd import compress
from smpchat.protocol.commands import Lnk
from smpchat.protocol.queue_mode import QueueMode
from smpchat.testing.entropy import SeededEntropy
from tests.properties import wire

ROOT = Ed25519PrivateKey(bytes(32))


def refused_or_stable(codec: Codec[Any], data: bytes) -> None:
    """Any bytes raise exactly `DecodeError`, or decode to a value that is written and read the same from then on."""
    try:
        value = codec.decode(data)
    except DecodeError:
        return
    written = codec.encode(value)
    assert codec.encode(codec.decode(written)) == written


class TestQueues:
    @given(wire.queue_infos)
    def test_information(self, info: QueueInfo) -> None:
        assert queue_info.decode(queue_info.encode(info)) == info

    @given(wire.queue_infos, st.integers(1, 4), st.sampled_from([None, *QueueMode]))
    def test_information_at_every_version(self, info: QueueInfo, version: int, mode: QueueMode | None) -> None:
        older = replace(info, version=version, mode=mode)
        data = queue_info.encode(older)
        decoded = queue_info.decode(data)
        assert queue_info.encode(decoded) == data
        assert (decoded.dh_key, decoded.sender_id) == (info.dh_key, info.sender_id)

    @given(wire.queue_uris)
    def test_address(self, uri: QueueURI) -> None:
        assert queue_uri_from_text(queue_uri_to_text(uri)) == uri
        data = queue_uri.encode(uri)
        assert queue_uri.encode(queue_uri.decode(data)) == data

    @given(wire.queue_addresses)
    def test_address_pair(self, address: QueueAddress) -> None:
        assert queue_address.decode(queue_address.encode(address)) == address

    @given(
        wire.damaged(
            st.one_of(
                wire.queue_infos.map(queue_info.encode),
                wire.queue_uris.map(queue_uri.encode),
                wire.queue_addresses.map(queue_address.encode),
            )
        )
    )
    @pytest.mark.parametrize("codec", [queue_info, queue_uri, queue_address], ids=["info", "uri", "address"])
    def test_any_bytes(self, codec: Codec[Any], data: bytes) -> None:
        refused_or_stable(codec, data)

    @given(wire.damaged_text(wire.queue_uris.map(queue_uri_to_text)))
    def test_any_text(self, text: str) -> None:
        try:
            uri = queue_uri_from_text(text)
        except DecodeError:
            return
        assert queue_uri_from_text(queue_uri_to_text(uri)) == uri


class TestEnvelopes:
    @given(wire.agent_messages)
    def test_messages(self, message: e.AgentMessage) -> None:
        assert e.agent_message.decode(e.agent_message.encode(message)) == message

    @settings(max_examples=50)
    @given(wire.agent_envelopes)
    def test_envelopes(self, envelope: e.AgentEnvelope) -> None:
        assert e.agent_envelope.decode(e.agent_envelope.encode(envelope)) == envelope

    @given(
        wire.damaged(
            st.one_of(
                wire.agent_messages.map(e.agent_message.encode), wire.agent_envelopes.map(e.agent_envelope.encode)
            )
        )
    )
    @pytest.mark.parametrize(
        "codec", [e.agent_message, e.agent_envelope, e.a_message], ids=["message", "envelope", "a"]
    )
    def test_any_bytes(self, codec: Codec[Any], data: bytes) -> None:
        refused_or_stable(codec, data)


class TestAgreement:
    @settings(max_examples=30)
    @given(wire.e2e_params)
    def test_parameters(self, params: E2EParams) -> None:
        assert e2e_params.decode(e2e_params.encode(params)) == params

    @settings(max_examples=30)
    @given(wire.e2e_ranges)
    def test_parameters_of_a_link(self, params: E2EParamsRange) -> None:
        assert e2e_params_range.decode(e2e_params_range.encode(params)) == params
        assert e2e_params_from_text(e2e_params_to_text(params)) == params

    @given(
        wire.damaged(st.one_of(wire.e2e_params.map(e2e_params.encode), wire.e2e_ranges.map(e2e_params_range.encode)))
    )
    @pytest.mark.parametrize("codec", [e2e_params, e2e_params_range], ids=["one", "range"])
    def test_any_bytes(self, codec: Codec[Any], data: bytes) -> None:
        refused_or_stable(codec, data)

    @given(wire.damaged_text(wire.e2e_ranges.map(e2e_params_to_text)))
    def test_any_text(self, text: str) -> None:
        try:
            params = e2e_params_from_text(text)
        except DecodeError:
            return
        assert e2e_params_from_text(e2e_params_to_text(params)) == params


class TestLinks:
    @given(wire.full_links, st.sampled_from(LinkScheme), st.sampled_from(["", " ", "\n", "\t\r\n"]))
    def test_full(self, link: ConnectionLink, scheme: LinkScheme, around: str) -> None:
        assert parse_link(around + format_link(link, scheme) + around) == link

    @given(wire.short_links)
    def test_short(self, link: ShortLink) -> None:
        assert parse_link(format_short_link(link)) == link
        assert short_link.decode(short_link.encode(link)) == replace(link, web=True)

    @given(wire.short_links)
    def test_shortening_an_unknown_relay_changes_nothing(self, link: ShortLink) -> None:
        assert shorten(link) == link

    @given(wire.damaged_text(st.one_of(wire.full_links.map(format_link), wire.short_links.map(format_short_link))))
    @example("simplex:/i#" + "/" * 16_000)
    @example("https://[::/a#?")
    @example("simplex:/invitation#/?v=²")
    @example("\u2028simplex:/a#\x00")
    def test_any_text(self, text: str) -> None:
        try:
            link = parse_link(text)
        except LinkError as error:
            sentence = str(error)
            assert sentence.endswith(".")
            assert sentence.isprintable()
            return
        written = format_short_link(link) if isinstance(link, ShortInvitation | ShortContact) else format_link(link)
        assert parse_link(written) == link

    @given(st.text(max_size=100))
    def test_any_text_as_a_short_link(self, text: str) -> None:
        with pytest.raises(LinkError):
            parse_short_link(text)

    @given(wire.full_links, st.dictionaries(st.from_regex(r"[a-z]{4,8}", fullmatch=True), st.text(max_size=9)))
    def test_unknown_parameters_are_ignored(self, link: ConnectionLink, more: dict[str, str]) -> None:
        more.pop("data", None)
        text = format_link(link) + "".join(f"&{name}={value.encode().hex()}" for name, value in more.items())
        assert parse_link(text) == link


class TestLinkData:
    @settings(max_examples=50)
    @given(wire.fixed_data)
    def test_fixed(self, data: FixedLinkData) -> None:
        encoded = fixed_link_data.encode(data)
        assert fixed_link_data.encode(fixed_link_data.decode(encoded)) == encoded

    @given(wire.link_data)
    def test_user(self, data: ConnLinkData) -> None:
        assert conn_link_data.decode(conn_link_data.encode(data)) == data

    @given(
        wire.damaged(
            st.one_of(
                wire.fixed_data.map(fixed_link_data.encode),
                wire.link_data.map(conn_link_data.encode),
                wire.short_links.map(short_link.encode),
                wire.full_links.map(lambda link: connection_request.encode(wire.as_binary(link))),
            )
        )
    )
    @pytest.mark.parametrize("codec", [fixed_link_data, conn_link_data, short_link, connection_request])
    def test_any_bytes(self, codec: Codec[Any], data: bytes) -> None:
        refused_or_stable(codec, data)

    @settings(max_examples=30)
    @given(wire.full_links.filter(lambda link: len(link.queues) == 1), st.binary(max_size=13_000), wire.sized(8))
    def test_sealed_links_open(self, link: ConnectionLink, user_data: bytes, seed: bytes) -> None:
        sealed = seal_link(ROOT, link, user_data, SeededEntropy(seed))
        queue = link.queues[0]
        short: ShortLink = (
            ShortInvitation(queue.server, bytes(24), sealed.link_key)
            if isinstance(link, InvitationLink)
            else ShortContact(queue.server, sealed.link_key)
        )
        opened = open_link(short, Lnk(queue.sender_id, sealed.fixed, sealed.user))
        assert opened.request == link
        assert opened.user_data == user_data

    @given(wire.short_links, wire.short, wire.large, wire.large)
    def test_any_answer_of_a_relay(self, link: ShortLink, sender_id: bytes, fixed: bytes, user: bytes) -> None:
        with pytest.raises(LinkDataError):
            open_link(link, Lnk(sender_id, fixed, user))

    @given(
        st.recursive(
            st.none() | st.integers() | st.text(max_size=20),
            lambda item: st.lists(item) | st.dictionaries(st.text(), item),
        )
    )
    def test_user_json(self, value: Any) -> None:
        assert read_user_json(write_user_json({"value": value})) == {"value": value}

    @given(wire.damaged(st.just(b'{"profile":{"displayName":"a"}}') | st.just(b"X" + compress(b'{"a":1}'))))
    def test_any_user_data(self, data: bytes) -> None:
        assert isinstance(read_user_json(data), dict | None)


class TestDelivery:
    bodies = st.lists(wire.body.map(e.UserMessage), min_size=1, max_size=8)

    @given(bodies, st.data())
    def test_chain_tells_what_is_missing(self, messages: list[e.UserMessage], data: st.DataObject) -> None:
        sent, received = Chain(), Chain()
        last_lost = False
        for message in messages:
            sent, plaintext = delivery.append(sent, message)
            if data.draw(st.booleans(), "lost"):
                last_lost = True
                continue
            numbered = e.agent_message.decode(plaintext)
            assert isinstance(numbered, e.NumberedMessage)
            received, verdict = delivery.receive(received, numbered, plaintext)
            assert verdict is (Integrity.SKIPPED if last_lost else Integrity.OK)
            assert received == sent
            assert delivery.receive(received, numbered, plaintext) == (received, Integrity.DUPLICATE)
            last_lost = False


class TestTimes:
    delays = st.builds(Delays, st.floats(0.1, 1e3), st.floats(1e3, 1e6))

    @given(delays, st.integers(0, 10_000), st.floats(0, 1))
    def test_delays_are_bounded_and_grow(self, delays: Delays, attempts: int, jitter: float) -> None:
        assert 0.8 * delays.first <= delays.after(attempts, jitter) <= delays.longest
        assert delays.after(attempts) <= delays.after(attempts + 1)

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=30))
    def test_plan_is_due_exactly_at_its_deadline(self, steps: list[tuple[int, int, bool]]) -> None:
        plan, now = SubscriptionPlan[int](), 0.0
        actions: list[Callable[[int, bool], None]] = [
            lambda queue, _: plan.subscribed(queue, now),
            lambda queue, _: plan.forget(queue),
            lambda queue, awaits: plan.repeated(queue, now, awaits_first_message=awaits),
        ]
        for action, queue, awaits in steps:
            if action < len(actions):
                actions[action](queue, awaits)
            deadline = plan.next_deadline()
            if deadline is None:
                assert plan.take_due(1e9) == []
            elif action == len(actions):
                now = max(now, deadline)
                assert plan.take_due(now) != []
            else:
                assert plan.take_due(min(deadline, now) - 1e-6) == [] or deadline <= now
