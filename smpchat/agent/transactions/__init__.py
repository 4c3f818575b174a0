"""The agent's operations. Each of them, in one transaction, loads a state, lets a state machine process an event, saves
the new state, and puts the effects (commands and messages) into the outbox.

Nothing here waits or talks to a relay: `smpchat.agent.online` sends what the outbox holds, after the commit.
"""
