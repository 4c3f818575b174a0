"""``python -m smpchat``: the program, where its script is not on the path."""

from smpchat.cli.app import main

main()
