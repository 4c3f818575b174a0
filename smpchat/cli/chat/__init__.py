"""The command `chat`: the current contact, the user's lines, what arrives, and the terminal around them.

`transcript` is what was printed, `conversation` the current contact, `slash` the meaning of the user's lines, and
`arrivals` what happens meanwhile; none of them knows the terminal. `screen` and `completion` do: prompt, keys, toolbar.
"""
