"""One module for each command or group of commands, with the same name: ``app`` declares the command, and a function
named after the command, such as ``_accept``, does the work.

A module is imported when its command is run or completed, or when the command's help is printed. Code that several
commands share is in the folder above.
"""
