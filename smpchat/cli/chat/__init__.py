"""What `chat` does: who is written to, the user's lines, what arrives, and the terminal around them.

`transcript` is what was printed, `conversation` who is written to, `slash` what a line of the user's means, `arrivals`
what happens meanwhile; none of them knows the terminal. `screen` and `completion` do: prompt, keys, toolbar.
"""
