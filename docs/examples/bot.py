"""A bot that keeps a shopping list for each contact. Needs smpchat. Start: python bot.py"""

import asyncio

from smpchat import Client, Message

HELP = "Write: add THING, done THING, or list."


def shopping(said: list[Message]) -> list[str]:
    """What is left to buy. It is computed from the messages, so the bot stores nothing of its own."""
    things: dict[str, None] = {}
    for message in said:
        verb, _, thing = message.text.partition(" ")
        if message.direction == "received" and verb == "add" and thing:
            things[thing] = None
        elif message.direction == "received" and verb == "done":
            things.pop(thing, None)
    return list(things)


def answer(client: Client, message: Message) -> str:
    if message.text.partition(" ")[0] not in ("add", "done", "list"):
        return HELP
    said = [earlier for earlier in client.history(message.contact, 1000) if earlier.id <= message.id]
    return "\n".join(shopping(said)) or "Nothing to buy."


async def main() -> None:
    async with Client(profile="shopping") as client:
        if not client.contacts():
            print((await client.invite("owner")).link, flush=True)
        async for message in client.messages():
            try:
                await client.send(message.contact, answer(client, message), reply_to=message.id, wait="none")
            except Exception as error:  # of any kind: otherwise this message would also end every later run
                print(f"no answer to message {message.id}: {error!r}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
