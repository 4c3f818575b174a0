"""Groups under load: what one message costs in a large one, and whether all arrives where processes and relays die.

    python -m tests.bench.groups cost [--members 50]
    python -m tests.bench.groups kills [--members 20] [--messages 2000] [--seed 1]

All in one process, in time that jumps: members are whole profiles with a store on disk, each at a memory relay of its
own. ``cost`` tells CPU, bytes that leave, and for how long the sender's command takes. ``kills`` lets everybody write
by turns, while processes die at commits drawn by chance and relays are stopped; it ends with an error unless every
member has every message once, those of each author in order.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from smpchat.chat.service.connecting import ChatService
from smpchat.protocol.commands import Send
from smpchat.testing.loop import run_jumping
from tests.faults.people import Crash, CrashPlan
from tests.faults.teams import Team, count, texts

COMMITS_BETWEEN = 400
"""Commits of one process between two of its deaths, on average."""
RELAYS = 4
"""Relays that the members of `cost` share: each member has a session with each."""
MEASURED = 20
"""Messages over which `cost` takes the mean."""


def names(count: int) -> list[str]:
    """``member00`` and so on."""
    return [f"member{number:02}" for number in range(count)]


def kills(folder: Path, members: int, messages: int, seed: int) -> list[str]:
    """What is wrong in the end; nothing, it is to be hoped."""
    random, all_of_them = Random(seed), names(members)
    plans = {name: _plan(random, messages) for name in all_of_them}
    found: list[str] = []

    async def main() -> None:
        # What a dead process has still to do fails, as it should; only that is no news.
        asyncio.get_running_loop().set_exception_handler(_unless_dead)
        team = Team(folder, all_of_them, plans)
        async with AsyncExitStack() as stack:
            await team.start(stack)
            await team.form_by_link()
            print(f"{members} members, all connected; commits so far {sum(p.commits for p in plans.values()):,}")
            stopping = asyncio.get_running_loop().create_task(_stop_relays(team, random))
            expected: dict[str, list[str]] = {name: [] for name in all_of_them}
            for number in range(messages):
                author = random.choice(all_of_them)
                text = f"{number} of {author}"
                await team.say(author, text)
                expected[author].append(text)
                if number % 100 == 99:
                    print(f"{number + 1:,} messages", flush=True)
                await asyncio.sleep(random.uniform(0, 0.2))  # of the time that jumps
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
            for relay in team.relays:
                relay.start()
            for person in team.people.values():
                await person.until(partial(_has, messages), seconds=3_600)
            for name, person in team.people.items():
                found.extend(_wrong(name, texts(person.service), expected))

    run_jumping(main)
    deaths = sum(plan.deaths for plan in plans.values())
    print(f"processes died {deaths} times at {sum(p.commits for p in plans.values()):,} commits")
    return found


def _unless_dead(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), Crash):
        loop.default_exception_handler(context)


class _Counting(CrashPlan):
    """A plan that counts how often it was carried out."""

    deaths = 0

    def check(self, *, after: bool) -> None:
        try:
            super().check(after=after)
        except BaseException:
            self.deaths += 1
            raise


def _plan(random: Random, messages: int) -> _Counting:
    last = 40 * messages + 4_000
    return _Counting(
        *((at, random.random() < 0.5) for at in random.sample(range(1, last), max(1, last // COMMITS_BETWEEN)))
    )


async def _stop_relays(team: Team, random: Random) -> None:
    while True:
        await asyncio.sleep(random.uniform(5, 30))
        relay = random.choice(team.relays)
        await relay.stop()
        await asyncio.sleep(random.uniform(1, 20))
        relay.start()


def _wrong(name: str, found: list[tuple[str, str]], expected: dict[str, list[str]]) -> list[str]:
    wrong = []
    for author, said in expected.items():
        own = [text for by, text in found if by == ("me" if author == name else author)]
        twice = [text for text, count in Counter(own).items() if count > 1]
        missing = [text for text in said if text not in own]
        if twice or missing:
            wrong.append(f"{name}: of {author} missing {missing[:3]}, twice {twice[:3]}")
        elif own != said:
            wrong.append(f"{name}: those of {author} in another order")
    return wrong


def cost(folder: Path, members: int) -> None:
    """Prints it."""
    all_of_them = names(members)

    async def main() -> None:
        team = Team(folder, all_of_them, relays=RELAYS)
        async with AsyncExitStack() as stack:
            await team.start(stack)
            began = time.process_time()
            await team.form_by_link()
            print(f"{members} members connected to each other: {time.process_time() - began:.1f} s of CPU for all")
            owner, sent = team.owner, sum(_bodies(team))
            wall, cpu, took = time.perf_counter(), time.process_time(), 0.0
            for number in range(MEASURED):
                at = time.perf_counter()
                owner.service.send("team", f"message {number}")
                took += time.perf_counter() - at
                for person in team.people.values():
                    await person.until(partial(_has, number + 1))
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            bodies = sum(_bodies(team)) - sent
            print(f"one message: the command takes {took / MEASURED * 1000:.1f} ms;")
            print(f"  {cpu / MEASURED * 1000:.0f} ms of CPU for the sender, {members - 1} receivers and their relays")
            print(f"  together, {cpu / MEASURED / (members - 1) * 1000:.1f} ms for each copy; {wall / MEASURED:.2f} s;")
            print(f"  {bodies / MEASURED / 1000:.0f} kB of bodies to relays, receipts among them")

    run_jumping(main)


def _has(number: int, service: ChatService) -> bool:
    return count(service) >= number


def _bodies(team: Team) -> list[int]:
    return [len(c.body) for relay in team.relays for c in relay.commands if isinstance(c, Send)]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cost", "kills"])
    parser.add_argument("--members", type=int)
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        if asked.what == "cost":
            cost(Path(folder), asked.members or 50)
            return 0
        began = time.perf_counter()
        wrong = kills(Path(folder), asked.members or 20, asked.messages, asked.seed)
    for line in wrong:
        print(line)
    print(f"{'nothing wrong' if not wrong else f'{len(wrong)} faults'}; {time.perf_counter() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
