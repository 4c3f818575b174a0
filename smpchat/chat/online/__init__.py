"""The asynchronous part of the chat layer: one process at a time is online for a profile, and does the work of the
other processes too.

The modules here give the agent its sessions with relays, as the settings demand. The other folders of `smpchat.chat`
decide what is sent and stored.
"""
