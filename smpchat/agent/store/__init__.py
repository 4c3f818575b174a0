"""Durable state of the agent: records, and the statements that load and save them; schema and migrations.

One SQLite file per profile, one module per table family. There are no rules here: the machines know what a record
means.
"""
