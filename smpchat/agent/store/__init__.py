"""Durable state of the agent: records, and the statements that load and save them; schema and migrations.

There is one SQLite file per profile. Each module handles a few tables that belong together. This package only stores:
what a record means is decided in `smpchat.agent.machines`.
"""
