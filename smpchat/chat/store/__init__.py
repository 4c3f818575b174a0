"""The stored state of the chat layer: records, the SQL statements that load and save them, the schema, and the feed of
events.

The tables are in the same file as the agent's. This package makes no decisions: `smpchat.chat.transactions` decides
what is stored when.
"""
