"""Durable state of the agent: one SQLite file per profile, one module per table family."""
