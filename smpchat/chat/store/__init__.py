"""The stored state of the chat layer: records, the SQL statements that load and save them, the schema, and the feed of
events.

The chat layer's tables are in the same database file as the agent's tables. `smpchat.chat.transactions` decides what is
stored, and when; this package only loads and saves.
"""
