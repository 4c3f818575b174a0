"""Contact addresses between us and a peer that does as apps do: either side may be the one that asks."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from smpchat.agent.wire.envelope import UserMessage
from smpchat.chat.store.records import MessageStatus
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, CrashPlan, Person
from tests.faults.reference import ReferencePeer
from tests.faults.test_reference import INFO, heard, said_to

ASK = (
    b'{"v":"1-16","event":"x.contact","params":{"profile":{"displayName":"ref","fullName":""},'
    b'"contactReqId":"AAAAAAAAAAAAAAAAAAAAAA==","msgId":"b25l","content":{"type":"text","text":"please"}}}'
)


async def apps_ask(alice: Person, peer: ReferencePeer, home: MemoryRelay, other: MemoryRelay) -> None:
    """The peer asks twice, as an app does whose user presses the button again."""
    while alice.service.address() is None:
        await alice.do(lambda service: service.create_address())
    async with alice.online():
        await alice.until(lambda service: (a := service.address()) is not None and a.link is not None)
        address = alice.service.address()
        assert address is not None and address.link is not None
        for _ in range(2):
            await peer.ask(address.link, ASK, receive_at=other.server)
        await alice.until(lambda service: bool(service.requests()))
        [request] = alice.service.requests()
        assert (request.name, request.text) == ("ref", "please")
        while not alice.service.contacts():
            await alice.do(lambda service: service.accept("ref"))
        await peer.until(lambda: peer.info is not None)
        await peer.answer(INFO)
        await alice.until(lambda service: service.contact("ref").state.state == "connected")
        await peer.ask(address.link, ASK, receive_at=other.server)
        await peer.say("hello")
        await alice.until(lambda _: heard(alice) == ["please", "hello"])
        assert alice.state_of("ref").variant == "sender-secured"
        assert alice.service.requests() == []
        await alice.until(lambda service: service.is_idle())


async def apps_are_asked(alice: Person, peer: ReferencePeer, home: MemoryRelay, other: MemoryRelay) -> None:
    """The peer accepts; it has lost our reply key, as apps do with what they do not know in a link."""
    link = await peer.publish(other.server)
    while not alice.service.contacts():
        await alice.do(lambda service: service.connect(link, "ref", ["please", "more"]))
    async with alice.online():
        await peer.until(lambda: bool(peer.requests))
        [request, *copies] = peer.requests
        assert all(copy == request for copy in copies)
        asked = json.loads(request.conn_info)
        assert asked["event"] == "x.contact"
        assert asked["params"]["profile"]["displayName"] == "alice"
        assert asked["params"]["content"]["text"] == "please"
        invitation = request.link.decode().partition("&rk=")[0]
        await peer.join(invitation, INFO, reply_at=other.server)
        await peer.until(lambda: peer.info is not None)
        await alice.until(lambda service: service.contact("ref").state.state == "connected")
        await peer.until(lambda: said_to(peer) == ["more"])
        assert alice.service.history("ref")[0].status is MessageStatus.DELIVERED
        await peer.say("hello")
        await alice.until(lambda _: heard(alice) == ["hello"])
        assert alice.state_of("ref").variant == "sender-secured"
        await alice.until(lambda service: service.is_idle())


Scenario = Callable[[Person, ReferencePeer, MemoryRelay, MemoryRelay], Awaitable[None]]


GROUP = (
    b'{"v":"1-16","event":"x.grp.link.inv","params":{"groupLinkInvitation":{"accepted":"accepted","fromMember":'
    b'{"memberId":"MndCeTRLQzNscjMzMHVlMQ==","memberRole":"owner"},"fromMemberName":"ann","groupProfile":'
    b'{"displayName":"team\\u001b[2J","fullName":""},"groupSize":3,"invitedMember":'
    b'{"memberId":"aUd2RllWVWh5d0dtWFhHNw==","memberRole":"member"}}}}'
)
BUSINESS = GROUP.replace(
    b'"fromMember":',
    b'"business":{"businessId":"ZmFU","chatType":"business","customerId":"Yk1i"},"fromMember":',
)
REJECTED = (
    b'{"v":"1-16","event":"x.grp.link.reject","params":{"groupLinkRejection":{"fromMember":{"memberId":"QWxp",'
    b'"memberRole":"owner"},"invitedMember":{"memberId":"Qm9i","memberRole":"observer"},"groupProfile":'
    b'{"displayName":"hikers","fullName":""},"rejectionReason":"long_name"}}}'
)


def answered_by(info: bytes) -> Scenario:
    """The link tells nothing of a group; the peer answers the request as a group's host, or a business does."""

    async def scenario(alice: Person, peer: ReferencePeer, home: MemoryRelay, other: MemoryRelay) -> None:
        link = await peer.publish(other.server)
        while not alice.service.contacts():
            await alice.do(lambda service: service.connect(link, "ref", ["please", "more"]))
        async with alice.online():
            await peer.until(lambda: bool(peer.requests))
            invitation = peer.requests[0].link.decode().partition("&rk=")[0]
            await peer.join(invitation, info, reply_at=other.server)
            if info == BUSINESS:
                await peer.until(lambda: said_to(peer) == ["more"])
                contact = alice.service.contact("ref").contact
                assert contact.business and contact.profile is not None
                assert contact.profile.display_name == "team\x1b[2J"
                while alice.service.contacts():
                    await alice.do(lambda service: service.delete("ref"))
                await peer.until(lambda: b"x.grp.leave" in peer.of(UserMessage)[-1].body)
            else:
                await alice.until(lambda service: service.contact("ref").state.state == "failed")
                reason = alice.service.contact("ref").state.reason or ""
                assert ("the group 'team [2J'" in reason) is (info == GROUP)
                assert ("The group 'hikers' did not accept you ('long_name')" in reason) is (info == REJECTED)
                pending = alice.service.history("ref")[-1]
                assert (pending.status, pending.reason) == (MessageStatus.FAILED, reason)
                assert peer.info is None and said_to(peer) == []
            await alice.until(lambda service: service.is_idle())

    return scenario


def meet(folder: Path, scenario: Scenario, plan: CrashPlan) -> None:
    async def main() -> None:
        home, other = (
            MemoryRelay(SeededEntropy(host), lambda: START, host=host) for host in ("home.test", "other.test")
        )
        alice = Person("alice", folder, [home, other], home=home, plan=plan)
        peer = ReferencePeer("ref", [home, other])
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(peer.serve())
            await scenario(alice, peer, home, other)
            serving.cancel()
        await peer.close()
        for relay in (home, other):
            await relay.stop()
        alice.service.close()

    run_jumping(main)


@pytest.mark.parametrize("scenario", [apps_ask, apps_are_asked], ids=lambda scenario: scenario.__name__)
def test_without_faults(tmp_path: Path, scenario: Scenario) -> None:
    meet(tmp_path, scenario, CrashPlan())


@pytest.mark.parametrize("info", [GROUP, BUSINESS, REJECTED], ids=["group", "business", "rejected"])
def test_whoever_answers_for_a_group_is_never_taken_for_a_person(tmp_path: Path, info: bytes) -> None:
    meet(tmp_path, answered_by(info), CrashPlan())


@pytest.mark.parametrize("after", [False, True], ids=["before-commit", "after-commit"])
@pytest.mark.parametrize("scenario", [apps_ask, apps_are_asked], ids=lambda scenario: scenario.__name__)
def test_a_crash_at_each_commit(tmp_path: Path, scenario: Scenario, after: bool) -> None:
    for at in itertools.count(1):
        plan = CrashPlan((at, after))
        meet(tmp_path / str(at), scenario, plan)
        if plan.commits < at:
            break
