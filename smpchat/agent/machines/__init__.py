"""The agent's decisions: pure `step(state, event)` functions, and values such as delays, hash chains and plans.

Time and randomness come in as arguments; nothing here reads the store or sends anything. `smpchat.agent.transactions`
loads the states, saves them and carries out the effects.
"""
