"""What runs for the command ``python -m smpchat``, and for the script ``smpchat``."""

from __future__ import annotations

import gc
import os
import sys
import threading

_OURS = "SMPCHAT_"
"""The names of smpchat's environment variables begin with this prefix."""


def program() -> None:
    """Run the command line, then end the process at once.

    Before a process ends, Python destroys every module and object. At the end of the command `connect`, this cleanup
    would take 40 ms, three times as long as the start of Python. smpchat does not need it: a command closes its store,
    its sessions and its event loop before it returns.
    """
    _open_closed_streams()
    gc.set_threshold(100_000)  # a start creates 65,000 objects at most: searching them for garbage takes 8 ms, in vain
    if any(name.startswith(_OURS) for name in os.environ):
        from smpchat.relay.surroundings import take_secrets

        take_secrets()  # before any child process is started, because it would inherit the secrets
    from smpchat.cli.app import main

    try:
        main()
    except SystemExit as ended:
        _drop_what_nobody_reads()
        if isinstance(ended.code, int) and _may_leave():
            os._exit(ended.code)
        raise


def _open_closed_streams() -> None:
    """Open the null device in place of each standard stream that was closed when the program started (`>&-`).

    If standard error stayed closed, the next file that is opened would get number 2, the number of standard error. If
    that file were the profile's database, a library that writes to standard error would write into the database.
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
    """Discard the output if its reader has gone; otherwise Python would complain when it exits."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except (OSError, ValueError):
            pass  # for example a full disk: `_may_leave` fails too, so Python reports the error when it exits


def _may_leave() -> bool:
    """Whether the process can end at once: all output is written, and no other thread is at work."""
    if sys.flags.inspect or sys.gettrace() or sys.getprofile():
        return False  # a debugger or profiler needs Python's usual exit
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        return False  # Python would wait for this thread
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return False  # Python's usual exit reports the error
    return True


if __name__ == "__main__":
    program()
