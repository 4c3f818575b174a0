"""The terminal: commands, what they print and their exit status. The only package that prints."""
