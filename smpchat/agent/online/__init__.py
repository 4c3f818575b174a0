"""The asynchronous part of the agent: what runs while a process is online.

The modules of this package receive messages from relays, process these messages in transactions of the store, and send
what these transactions put into the outbox. Rules about connections belong to `smpchat.agent.machines`.
"""
