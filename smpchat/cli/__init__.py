"""The program in the terminal, the only package that prints.

`app` is its own options, `table` lists its commands, and ``commands/NAME.py`` is all about one of them: its signature,
help, examples and what it does. `command_line` parses command lines and prints helps, and `running` handles errors.
"""
