"""What decides without asking anybody: pure ``step(state, event) -> (state, effects)`` of a group as a member sees it.

Nothing here reads a store, a clock or the network; whoever steps brings what is known, and does what comes out.
"""
