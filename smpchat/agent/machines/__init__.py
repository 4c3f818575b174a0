"""The agent's decisions: pure `step(state, event)` functions, and values that decide when and in which order.

Time and randomness come in as arguments; nothing here reads a store or sends. `smpchat.agent.transactions` loads the
states, saves them and carries out the effects.
"""
