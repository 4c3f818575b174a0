"""Durable state of the agent: records, and the statements that load and save them; schema and migrations.

One SQLite file per profile, one module per table family. No rule is here: what a record means, the machines know.
"""
