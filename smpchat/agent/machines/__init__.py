"""The agent's decisions: pure `step(state, event)` functions, and classes that only hold values, such as delays, hash
chains and the times of planned commands.

Time and randomness come in as arguments; nothing here reads the store or sends anything. `smpchat.agent.transactions`
loads the states, saves them and carries out the effects.
"""
