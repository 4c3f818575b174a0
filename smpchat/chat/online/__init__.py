"""The asynchronous part of the chat layer: one process at a time is online for a profile, others follow or wait.

It joins the agent with relays and settings; what is sent or stored is decided in the rooms before it.
"""
