"""A bot that owns a group and counts votes in it. Needs smpchat. Start: python votes.py"""

import asyncio
from collections import Counter

from smpchat import Client, Message


def tally(said: list[Message]) -> str:
    """How many members want what. Only the last vote under each name counts, but a member can change their name."""
    votes: dict[str, str] = {}
    for message in said:
        verb, _, choice = message.text.partition(" ")
        if message.sender and message.content == "text" and verb == "vote" and choice:
            votes[message.sender] = choice
    counted = Counter(votes.values()).most_common()
    return "\n".join(f"{choice}: {count}" for choice, count in counted) or "No votes yet."


async def main() -> None:
    async with Client(profile="votes") as client:
        if not client.groups():
            client.create_group("lunch", welcome="Write: vote THING.")
        link = await client.make_group_link("lunch")
        print(link.short or link.full, flush=True)
        async for message in client.messages():
            # a line such as [bob joined] also comes as a message, with the content "group-event"
            if not (message.group and message.content == "text" and message.text.startswith("vote ")):
                continue
            said = [earlier for earlier in client.history(message.contact, 1000) if earlier.id <= message.id]
            try:
                await client.send(message.contact, tally(said), reply_to=message.id, wait="none")
            except Exception as error:  # of any kind: otherwise this message would also end every later run
                print(f"no answer to message {message.id}: {error!r}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
