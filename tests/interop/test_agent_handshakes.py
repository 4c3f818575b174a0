"""Connections between us and a real agent: both roles, all kinds of links, old versions, both relays."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat import ContactView
from smpchat.agent.machines.handshake_states import Variant
from tests.interop.peers import real_agent
from tests.interop.people import greet, introduction, ours, relay, run

RELAYS = ["official", "ours"]
ALL_RELAYS = [*RELAYS, "ours 6-8"]
AGENTS = {
    "today": (),
    "agent 7": ("--agent-vrange", "2-7"),
    "agent 6": ("--agent-vrange", "2-6"),
    "agent 5": ("--agent-vrange", "2-5"),
    "agent 4": ("--agent-vrange", "2-4"),
    "agent 3": ("--agent-vrange", "2-3"),
    "agent 2": ("--agent-vrange", "2-2"),
    "encryption 2": ("--e2e-vrange", "2-2"),
    "queues 3": ("--client-vrange", "1-3"),
    "SMP 8": ("--smp-vrange", "6-8"),
}
WITHOUT_RECEIPTS = {"agent 2", "agent 3"}
WITHOUT_PQ = {"agent 4", "agent 3", "agent 2", "encryption 2"}
OFFICIAL_AND_EACH = [("today", kind) for kind in ALL_RELAYS] + [(name, "ours") for name in AGENTS if name != "today"]


def _abilities(kind: str) -> dict[str, bool]:
    return {"pq": kind not in WITHOUT_PQ, "receipts": kind not in WITHOUT_RECEIPTS}


def has_pq(view: ContactView, wanted: bool) -> None:
    assert view.pq is wanted, view


@pytest.mark.parametrize(("kind", "where"), OFFICIAL_AND_EACH)
def test_an_agent_joins_our_link(kind: str, where: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay(where, folder) as server, ours(folder, server) as sam:
            async with real_agent(folder / "agent", server, *AGENTS[kind]) as agent:
                link = (await sam.invite("ann")).link
                joined = await agent.do(f"join {link} {introduction('ann')}")
                await agent.wait("INFO")
                await agent.connected()
                await sam.wait_connected("ann", 30)
                await greet(sam, "ann", agent, joined["conn"], **_abilities(kind))
                has_pq(sam.contact("ann"), kind not in WITHOUT_PQ)

    run(scenario, tmp_path)


@pytest.mark.parametrize(("kind", "where"), OFFICIAL_AND_EACH)
def test_we_join_the_link_of_an_agent_and_write_at_once(kind: str, where: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay(where, folder) as server, ours(folder, server) as sam:
            async with real_agent(
                folder / "agent", server, *AGENTS[kind], "--auto-allow", introduction("ann")
            ) as agent:
                made = await agent.do("new inv pq=use")
                await sam.connect(made["link"], "ann")
                await agent.connected()
                await sam.wait_connected("ann", 30)
                await greet(sam, "ann", agent, made["conn"], **_abilities(kind))
                has_pq(sam.contact("ann"), kind not in WITHOUT_PQ)

    run(scenario, tmp_path)


@pytest.mark.parametrize("where", RELAYS)
@pytest.mark.parametrize("variant", [Variant.THREE_STEP, Variant.STANDARD])
def test_an_agent_joins_the_older_handshakes(variant: Variant, where: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay(where, folder) as server, ours(folder, server) as sam:
            async with real_agent(folder / "agent", server) as agent:
                link = (await sam.invite("ann", variant=variant)).link
                joined = await agent.do(f"join {link} {introduction('ann')}")
                await agent.connected()
                await sam.wait_connected("ann", 30)
                await greet(sam, "ann", agent, joined["conn"])

    run(scenario, tmp_path)


@pytest.mark.parametrize("where", RELAYS)
def test_without_post_quantum_keys_on_their_side(where: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay(where, folder) as server, ours(folder, server) as sam:
            async with real_agent(folder / "agent", server, "--auto-allow", introduction("ann")) as agent:
                made = await agent.do("new inv pq=off")
                await sam.connect(made["link"], "ann")
                await agent.connected()
                await sam.wait_connected("ann", 30)
                await greet(sam, "ann", agent, made["conn"], pq=False)

                link = (await sam.invite("ben")).link
                joined = await agent.do(f"join {link} {introduction('ben')} pq=off")
                await agent.connected()
                await sam.wait_connected("ben", 30)
                await greet(sam, "ben", agent, joined["conn"], pq=False)
                has_pq(sam.contact("ben"), False)

    run(scenario, tmp_path)


@pytest.mark.parametrize("where", RELAYS)
def test_short_links_in_both_directions(where: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay(where, folder) as server, ours(folder, server) as sam:
            async with real_agent(folder / "agent", server, "--auto-allow", introduction("ann")) as agent:
                made = await agent.do("new inv pq=on short=text:nothing")
                await sam.connect(made["short"], "ann")
                await agent.connected()
                await sam.wait_connected("ann", 30)
                await greet(sam, "ann", agent, made["conn"])

                link = (await sam.invite("ben")).short_link
                joined = await agent.do(f"join {link} {introduction('ben')}")
                await agent.connected()
                await sam.wait_connected("ben", 30)
                await greet(sam, "ben", agent, joined["conn"])
                has_pq(sam.contact("ben"), True)

    run(scenario, tmp_path)


@pytest.mark.parametrize("where", RELAYS)
@pytest.mark.parametrize("form", ["full", "short"])
def test_we_ask_through_their_address(form: str, where: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay(where, folder) as server, ours(folder, server) as sam:
            async with real_agent(folder / "agent", server, "--auto-accept", introduction("ann")) as agent:
                made = await agent.do("new con pq=on" + (" short=text:nothing" if form == "short" else ""))
                await sam.connect(made["short" if form == "short" else "link"], "ann")
                accepted = await agent.connected()
                await sam.wait_connected("ann", 30)
                await greet(sam, "ann", agent, accepted["conn"])

    run(scenario, tmp_path)


@pytest.mark.parametrize("where", RELAYS)
@pytest.mark.parametrize("form", ["full", "short"])
def test_they_ask_through_our_address(form: str, where: str, tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with relay(where, folder) as server, ours(folder, server) as sam:
            async with real_agent(folder / "agent", server, "--auto-allow", introduction("ann")) as agent:
                address = await sam.create_address(auto_accept=True)
                link = address.short_link if form == "short" else address.link
                joined = await agent.do(f"join {link} {introduction('ann')}")
                await agent.connected()
                await sam.wait_connected("ann", 30)
                await greet(sam, "ann", agent, joined["conn"])

    run(scenario, tmp_path)
