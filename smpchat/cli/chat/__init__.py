"""The command `chat`: shows a conversation in the terminal while the user types.

`conversation` keeps the current contact, and `transcript` what was printed. `slash` interprets the lines that the user
enters, and `arrivals` shows what arrives, such as messages and requests. Only `screen` and `completion` know the
terminal: prompt, keys and toolbar.
"""
