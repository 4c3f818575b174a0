"""The asynchronous part of the chat layer: one process at a time is online for a profile, others follow or wait.

This part connects the agent with relays and settings; the other folders of this package decide what is sent and stored.
"""
