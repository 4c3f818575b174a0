"""The state machine of a group, from the view of one member: a pure function ``step(state, event) -> (state,
effects)``.

Nothing here reads a store, a clock or the network: the caller passes in what is known, and carries out the effects.
"""
