"""Connections that stand: texts while the other is away, queues that move or are gone, encryption anew, relays."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from smpchat.chat.errors import DeliveryFailed, TextsHeld
from smpchat.chat.store.records import MessageStatus
from smpchat.client.routes import Transport
from smpchat.protocol.version import VersionRange
from tests.interop.peers import Agent, free_port, nowhere, real_agent
from tests.interop.people import (
    Person,
    agent_reads,
    delivered,
    greet,
    introduction,
    our_relay,
    ours,
    relay,
    run,
    text_body,
    texts,
    until,
)

RELAYS = ["official", "ours"]
HUNDRED = 100


async def joined(sam: Person, agent: Agent, alias: str = "ann") -> str:
    """We join a link of the agent; its connection."""
    made = await agent.do("new inv pq=use")
    await sam.connect(made["link"], alias)
    await agent.connected()
    await sam.wait_connected(alias, 30)
    connection: str = made["conn"]
    return connection


@asynccontextmanager
async def friends(folder: Path, server: str, *options: str) -> AsyncIterator[tuple[Person, Agent, str]]:
    """We and an agent, connected."""
    async with ours(folder, server) as sam:
        sam.service.invite("a bystander", server=nowhere("smp"))
        async with real_agent(folder / "agent", server, "--auto-allow", introduction("ann"), *options) as agent:
            yield sam, agent, await joined(sam, agent)


@pytest.mark.parametrize("where", RELAYS)
def test_a_hundred_texts_each_way_while_the_other_is_away(where: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        theirs, own = [f"theirs {n}" for n in range(HUNDRED)], [f"ours {n}" for n in range(HUNDRED)]
        async with relay(where, folder) as server:
            async with friends(folder, server) as (_, agent, connection):
                pass
            async with real_agent(folder / "agent", server) as agent:
                for text in theirs:
                    await agent.do(f"send {connection} {text_body(text)}")
                for _ in theirs:
                    await agent.wait("SENT")
                async with ours(folder, server) as sam:
                    assert texts(await sam.heard(HUNDRED)) == theirs
                    for _ in theirs:
                        await agent.wait("RCVD")
            async with ours(folder, server) as sam:
                for text in own:
                    await sam.send("ann", text, wait="none")
                await until(lambda: not sam.contact("ann").pending, "nothing pending")
            async with real_agent(folder / "agent", server) as agent, ours(folder, server) as sam:
                await agent_reads(agent, *own)
                await delivered(sam, "ann", *own)

    run(scenario, tmp_path)


@pytest.mark.parametrize("where", RELAYS)
def test_their_queue_moves_to_another_relay_and_nothing_is_lost(where: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay(where, folder) as server, our_relay(folder / "other") as other:
            async with friends(folder, server, "--server", other) as (sam, agent, connection):
                await greet(sam, "ann", agent, connection)
                own = [f"meanwhile {n}" for n in range(20)]

                async def write() -> None:
                    for text in own:
                        await sam.send("ann", text)

                writing = asyncio.create_task(write())
                await agent.do(f"switch {connection}")
                await agent.switched("rcv")
                await writing
                await agent_reads(agent, *own)
                await delivered(sam, "ann", *own)
                await agent.do(f"send {connection} {text_body('afterwards')}")
                assert texts(await sam.heard()) == ["afterwards"]

    run(scenario, tmp_path)


def test_encryption_is_agreed_anew_when_either_side_asks(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, friends(folder, server) as (sam, agent, connection):
            await greet(sam, "ann", agent, connection)
            await agent.do(f"rsync {connection} force")
            await until(lambda: [c.kind for c in sam.service.conditions("ann")] == ["new-keys"], "the question")
            sam.service.resync("ann")
            await agent.wait("RSYNC", state="ok")
            await agent.do(f"send {connection} {text_body('after theirs')}")
            assert texts(await sam.heard()) == ["after theirs"]
            await sam.send("ann", "after theirs too")
            await agent_reads(agent, "after theirs too")

    run(scenario, tmp_path)


def test_the_security_codes_are_the_same(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, friends(folder, server) as (sam, agent, connection):
            code = bytes.fromhex((await agent.do(f"adhash {connection}"))["hash"])
            shown = "".join(sam.service.verification("ann").code.split())
            assert int(shown) == int.from_bytes(code, "big")
            assert sam.service.verify("ann", shown).verified
            assert sam.contact("ann").verified

    run(scenario, tmp_path)


def test_a_full_queue_holds_texts_back_and_nothing_is_lost(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        own = [f"text {n}" for n in range(140)]
        async with relay("official", folder) as server:
            async with friends(folder, server) as (_, _, connection):
                assert connection
            async with ours(folder, server) as sam:
                for text in own:
                    await sam.send("ann", text, wait="none")
                held = await sam.send("ann", "one more")
                assert held.status is MessageStatus.PENDING
            async with ours(folder, server) as sam, real_agent(folder / "agent", server) as agent:
                await agent_reads(agent, *own, "one more")
                await delivered(sam, "ann", *own, "one more")

    run(scenario, tmp_path)


def test_a_peer_whose_queue_is_gone_fails_what_is_sent_there(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, friends(folder, server) as (sam, agent, connection):
            await greet(sam, "ann", agent, connection)
            await agent.do(f"del {connection}")
            with pytest.raises(DeliveryFailed, match="queue is gone"):
                await sam.send("ann", "are you there?")
            assert sam.history("ann")[-1].status is MessageStatus.FAILED
            [standing] = sam.service.conditions("ann")
            assert standing.kind == "peer-queue-gone"

    run(scenario, tmp_path)


def test_an_old_copy_of_ours_is_told_until_the_encryption_is_renewed(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        profile, copy = folder / "home" / "profiles" / "sam", folder / "copy"
        async with relay("official", folder) as server:
            async with friends(folder, server) as (sam, agent, connection):
                await greet(sam, "ann", agent, connection)
            shutil.copytree(profile, copy)
            async with real_agent(folder / "agent", server) as agent, ours(folder, server) as sam:
                for number in range(3):
                    await agent.do(f"send {connection} {text_body(f'theirs {number}')}")
                    await sam.heard_text(f"theirs {number}")
                    await sam.send("ann", f"ours {number}")
                    await agent_reads(agent, f"ours {number}")
            shutil.rmtree(profile)
            shutil.move(copy, profile)

            async with real_agent(folder / "agent", server) as agent:
                async with ours(folder, server) as sam:
                    await agent.do(f"send {connection} {text_body('lost')}")
                    await until(lambda: kinds(sam) == ["out-of-step"], "the mark")
                    held = await sam.send("ann", "held back", wait="none")
                    assert held.status is MessageStatus.PENDING
                async with ours(folder, server) as sam:  # then and later
                    assert kinds(sam) == ["out-of-step"]
                    sam.service.resync("ann")
                    await until(lambda: not kinds(sam), "the end of the mark")
                    await agent_reads(agent, "held back")
                    await agent.do(f"send {connection} {text_body('afterwards')}")
                    await sam.heard_text("afterwards")

    def kinds(sam: Person) -> list[str]:
        return [condition.kind for condition in sam.service.conditions("ann")]

    run(scenario, tmp_path)


def test_new_keys_of_an_agent_are_a_question_and_a_new_code_holds_texts(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, friends(folder, server) as (sam, agent, connection):
            await greet(sam, "ann", agent, connection)
            sam.service.verify("ann", None)
            before = sam.service.verification("ann").code
            await agent.do(f"rsync {connection} force")
            await until(lambda: kinds(sam) == ["new-keys"], "the question")
            held = await sam.send("ann", "held", wait="none")
            assert (held.status, held.reason) == (MessageStatus.PENDING, "Held: new encryption keys came.")
            with pytest.raises(TextsHeld):
                await sam.send("ann", "held too")
            assert sam.service.verification("ann").code == before
            sam.service.resync("ann")
            await until(lambda: kinds(sam) == ["code-changed"], "the new code")
            shown = "".join(sam.service.verification("ann").code.split())
            assert sam.service.verification("ann").code != before
            await agent.wait("RSYNC", state="ok")
            code = bytes.fromhex((await agent.do(f"adhash {connection}"))["hash"])
            assert int(shown) == int.from_bytes(code, "big")
            await agent.do(f"send {connection} {text_body('under the new keys')}")
            await sam.heard_text("under the new keys")
            assert [m.status for m in sam.history("ann")[-3:-1]] == 2 * [MessageStatus.PENDING]
            sam.service.verify("ann", shown)
            await agent_reads(agent, "held", "held too")
            await delivered(sam, "ann", "held", "held too")

    def kinds(sam: Person) -> list[str]:
        return [condition.kind for condition in sam.service.conditions("ann")]

    run(scenario, tmp_path)


def test_new_keys_that_are_refused_change_nothing(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, friends(folder, server) as (sam, agent, connection):
            await greet(sam, "ann", agent, connection)
            await agent.do(f"rsync {connection} force")
            await until(lambda: [c.kind for c in sam.service.conditions("ann")] == ["new-keys"], "the question")
            held = await sam.send("ann", "still use the old keys", wait="none")
            assert held.status is MessageStatus.PENDING
            sam.service.refuse_keys("ann")
            await agent_reads(agent, "still use the old keys")
            assert not sam.service.conditions("ann")

    run(scenario, tmp_path)


# -- texts never overtake HELLO ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("versions", ["1-1", "1-2"])
def test_texts_at_once_to_an_agent_with_old_queues(versions: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, ours(folder, server) as sam:
            options = ("--auto-allow", introduction("ann"), "--client-vrange", versions)
            async with real_agent(folder / "agent", server, *options) as agent:
                made = await agent.do("new inv pq=use")
                await sam.connect(made["link"], "ann", ["one", "two"])
                await agent_reads(agent, "one", "two")
                await agent.connected()
                await sam.wait_connected("ann", 30)
                await delivered(sam, "ann", "one", "two")
                await greet(sam, "ann", agent, made["conn"])

    run(scenario, tmp_path)


def test_texts_at_once_with_our_own_queue_on_an_old_relay(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, our_relay(folder / "old", VersionRange(6, 8)) as old:
            options = ("--auto-allow", introduction("ann"))
            async with ours(folder, old) as sam, real_agent(folder / "agent", server, *options) as agent:
                made = await agent.do("new inv pq=use")
                await sam.connect(made["link"], "ann", ["one", "two"])
                await agent_reads(agent, "one", "two")
                await agent.connected()
                await sam.wait_connected("ann", 30)
                await delivered(sam, "ann", "one", "two")
                await greet(sam, "ann", agent, made["conn"])

    run(scenario, tmp_path)


# -- ways to a relay --------------------------------------------------------------------------------------------------


def test_private_routing_of_either_side(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay("official", folder) as server, our_relay(folder / "own") as own:
            async with ours(folder, own) as sam:
                sam.service.set_private_routing(True)
                options = ("--auto-allow", introduction("ann"), "--proxy", "always")
                async with real_agent(folder / "agent", server, *options) as agent:
                    connection = await joined(sam, agent)
                    await agent.do(f"send {connection} {text_body('through a proxy')}")
                    sent = await agent.wait("SENT")
                    assert sent["proxy"]
                    assert texts(await sam.heard()) == ["through a proxy"]
                    await greet(sam, "ann", agent, connection)

    run(scenario, tmp_path)


def test_we_reach_our_relay_over_websocket_and_an_agent_over_tls(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        port = free_port()
        async with our_relay(folder / "relay", ws_port=port) as server, ours(folder, server) as sam:
            sam.service.add_server(server, Transport.WEBSOCKET, port)
            async with real_agent(folder / "agent", server) as agent:
                link = (await sam.invite("ann")).link
                made = await agent.do(f"join {link} {introduction('ann')}")
                await agent.connected()
                await sam.wait_connected("ann", 30)
                await greet(sam, "ann", agent, made["conn"])

    run(scenario, tmp_path)
