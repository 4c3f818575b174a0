"""The program that people run in a terminal. No other package prints anything for people.

`app` has the options that all commands share, and `table` lists the commands. ``commands/NAME.py`` has everything about
one command: its signature, its help, examples and what it does. `command_line` parses command lines and prints the
help of each command, and `running` handles errors.
"""
