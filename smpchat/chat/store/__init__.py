"""Durable state of the chat layer: records, and the statements that load and save them; schema and the feed of events.

The tables are in the same file as the agent's. No rule is here: `smpchat.chat.transactions` decides what is stored
when.
"""
