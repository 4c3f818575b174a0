"""The program as a process of its own: ``python -m smpchat``, and the script ``smpchat``."""

from __future__ import annotations

import gc
import os
import sys
import threading

_OURS = "SMPCHAT_"
"""Begins the name of every variable of ours."""


def program() -> None:
    """Run the command line; then leave at once.

    Python takes down every module and object before a process ends, which for all that a `connect` imports takes 40 ms:
    three times what it takes to start Python. Nothing waits for that here: a command closes its store, its sessions and
    its event loop before it returns.
    """
    gc.set_threshold(100_000)  # a start makes up to 65,000 objects, and all stay: to look through them takes 8 ms
    if any(name.startswith(_OURS) for name in os.environ):
        from smpchat.relay.surroundings import take_secrets

        take_secrets()  # before anything is started that would get them
    from smpchat.cli.app import main

    try:
        main()
    except SystemExit as ended:
        if isinstance(ended.code, int) and _may_leave():
            os._exit(ended.code)
        raise


def _may_leave() -> bool:
    """Whether nothing is lost: all that was printed is out, and no thread still works."""
    if sys.flags.inspect or sys.gettrace() or sys.getprofile():
        return False  # somebody looks at this process, and wants to be told at its end
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        return False  # Python would wait for it
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return False  # Python tells what became of it
    return True


if __name__ == "__main__":
    program()
