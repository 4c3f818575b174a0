"""Everything for the agent's durable state: records, the SQL that loads and saves them, the schema, and its migrations.

There is one SQLite file per profile. Each module handles a few tables that belong together. This package only stores:
what a record means is decided in `smpchat.agent.machines`.
"""
