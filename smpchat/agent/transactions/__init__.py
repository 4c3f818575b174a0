"""The agent's operations, each inside one transaction: load, step, save, put the effects into the outbox.

Nothing here waits or talks to a relay: `smpchat.agent.online` sends what the outbox holds, after the commit.
"""
