"""The command `chat`: the current contact, the user's lines, what arrives, and the terminal around them.

`transcript` keeps what was printed, `conversation` the current contact; `slash` interprets the user's lines, and
`arrivals` shows what happens meanwhile. Only `screen` and `completion` know the terminal: prompt, keys and toolbar.
"""
