"""Durable state of the agent: records, and the statements that load and save them; schema and migrations.

One SQLite file per profile, one module per table family. This package only stores: what a record means is decided in
`smpchat.agent.machines`.
"""
