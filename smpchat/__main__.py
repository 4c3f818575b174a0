"""The program as a process of its own: ``python -m smpchat``, and the script ``smpchat``."""

from __future__ import annotations

import gc
import os
import sys
import threading

_OURS = "SMPCHAT_"
"""Every variable of smpchat begins with this."""


def program() -> None:
    """Run the command line, then end the process at once.

    Before a process ends, Python destroys every module and object. After a `connect` this takes 40 ms, three times as
    long as the start of Python. Nothing here needs that: a command closes its store, its sessions and its event loop
    before it returns.
    """
    _open_closed_streams()
    gc.set_threshold(100_000)  # a start makes up to 65,000 objects, and all stay: to look through them takes 8 ms
    if any(name.startswith(_OURS) for name in os.environ):
        from smpchat.relay.surroundings import take_secrets

        take_secrets()  # before anything is started that would get them
    from smpchat.cli.app import main

    try:
        main()
    except SystemExit as ended:
        _drop_what_nobody_reads()
        if isinstance(ended.code, int) and _may_leave():
            os._exit(ended.code)
        raise


def _open_closed_streams() -> None:
    """The program may be started with a closed standard stream (`>&-`).

    Its number would be given to the next file that is opened, the profile's database perhaps, and what a library writes
    to standard error would go into that.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            nothing = os.open(os.devnull, os.O_RDWR)
            if nothing != number:
                os.dup2(nothing, number)
                os.close(nothing)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))


def _drop_what_nobody_reads() -> None:
    """Discards the output for a reader that has gone: Python would complain while it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except (OSError, ValueError):
            pass  # a full disk: `_may_leave` finds it too, and Python tells


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
