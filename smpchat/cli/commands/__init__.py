"""One module for each command or group of commands, with the same name: ``app`` declares it, ``_NAME`` does the work.

A module is imported when its command is run or completed, or its help is printed. Code that several commands share is
in the folder above.
"""
