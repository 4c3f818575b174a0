"""Environment variables: removes secrets from our own environment, and makes the environment of processes that we
start.

Other processes of the same user can read the environment with which a process was started. Programs that the process
starts inherit this environment. So we remove secrets when smpchat starts. We also overwrite the system's copy of them,
which ``/proc/PID/environ`` and `ps e` show. Programs that we start do not get the secrets; only a background relay gets
its password.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping

from smpchat.encoding.patterns import late

PASSWORD_VARIABLE = "SMPCHAT_RELAY_PASSWORD"
"""The environment variable with the relay's password. A background relay also gets its password through this variable,
because other users can read command lines, but not environments."""
SECRETS = ("SMPCHAT_KEY", "SMPCHAT_NEW_KEY", "SMPCHAT_PASSPHRASE", PASSWORD_VARIABLE)
"""Variables that contain a secret."""
_NEEDED = late(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TMP|TEMP|SSL_CERT_(FILE|DIR)|OPENSSL_\w+"
    r"|(LD|DYLD)_LIBRARY_PATH|VIRTUAL_ENV|PYTHON\w*|COVERAGE_\w+|SYSTEMROOT|SYSTEMDRIVE|WINDIR|COMSPEC|PATHEXT"
    r"|(LOCAL)?APPDATA|USERPROFILE|PROGRAMDATA",
    re.IGNORECASE,
)
"""Variables that Python, its libraries and the system need to start any program."""
_taken: dict[str, str] = {}


def take_secrets() -> None:
    """Removes all secrets from the environment of this process. Call this when the process starts. After this call,
    `secret` returns the values."""
    for name in SECRETS:
        if name in os.environ:
            _taken[name] = os.environ[name]
            _wipe(name)
            del os.environ[name]


def secret(name: str) -> str | None:
    """The value of a variable in `SECRETS`; None if the variable was not set."""
    return os.environ.get(name, _taken.get(name))


def for_programs() -> dict[str, str]:
    """The environment for other programs, such as an editor: our own environment, without the secrets."""
    return {name: value for name, value in os.environ.items() if name not in SECRETS}


def for_own_process(password: str | None) -> Mapping[str, str]:
    """The environment for a background process of smpchat: only the variables that it needs, and ``password`` as the
    relay's password."""
    needed = {name: value for name, value in os.environ.items() if _NEEDED().fullmatch(name)}
    return needed if password is None else needed | {PASSWORD_VARIABLE: password}


def _wipe(name: str) -> None:
    """Overwrites a variable's value where the system stored it when the process started. Unsetting the variable would
    leave the value in that memory."""
    if sys.platform == "win32":
        return
    try:
        import ctypes
    except ImportError:  # without ctypes, the user's other processes can still read the value
        return
    library = ctypes.CDLL(None)
    library.getenv.restype = ctypes.c_void_p
    address = library.getenv(os.fsencode(name))
    if address:
        ctypes.memset(address, 0, len(ctypes.string_at(address)))
