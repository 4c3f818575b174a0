"""The asynchronous part of the agent: what runs while a process is online.

It carries messages between relays and transactions; rules about connections belong to `smpchat.agent.machines`.
"""
