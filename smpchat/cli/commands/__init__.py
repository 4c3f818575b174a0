"""One module for each command, or group of commands, named like it: ``app`` declares it, a function with ``_`` does it.

A module is imported when its command is run, helped with or completed. What several need stands beside this folder.
"""
