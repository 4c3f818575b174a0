"""What commands print: objects for scripts (cli.md, JSON types) and lines for people; a module for each kind of thing.

Peer text is always escaped. Colours only repeat what words or symbols say. `rich` is imported where something is drawn:
scripts do not wait for it.
"""
