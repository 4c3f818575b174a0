"""One module for each command, or group of commands, named like it: ``app`` declares it, a function with ``_`` does it.

A module is imported when its command is run or completed, or its help is printed. Code that several commands need is
next to this folder.
"""
