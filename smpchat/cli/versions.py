"""The versions of smpchat and of what it uses, which every bug report should state."""

from __future__ import annotations

import platform

from smpchat import __version__


def software() -> dict[str, str]:
    """The versions of smpchat, Python, OpenSSL and SQLite, by name."""
    import sqlite3
    import ssl

    return {
        "smpchat": __version__,
        "Python": platform.python_version(),
        "OpenSSL": ssl.OPENSSL_VERSION.split()[1],
        "SQLite": sqlite3.sqlite_version,
    }


def protocols() -> dict[str, str]:
    """A dictionary: the name of each protocol, and the range of its versions that smpchat speaks, as text."""
    from smpchat.agent.wire.envelope import AGENT_VERSIONS
    from smpchat.agent.wire.links import E2E_VERSIONS
    from smpchat.protocol.version import SMP_CLIENT_VERSIONS, SMP_VERSIONS

    return {
        "SMP": str(SMP_CLIENT_VERSIONS),
        "SMP of the embedded relay": str(SMP_VERSIONS),
        "agent": str(AGENT_VERSIONS),
        "end-to-end encryption": str(E2E_VERSIONS),
    }


def show(*, as_json: bool) -> None:
    """Print a ``version`` object, or one line per version."""
    from smpchat.cli.environment import json_line

    found, spoken = software(), protocols()
    if as_json:
        fields = {name.lower(): version for name, version in found.items()}
        print(json_line("version", fields | {"protocols": spoken}), flush=True)
    else:
        print("\n".join(f"{name} {version}" for name, version in (found | spoken).items()), flush=True)


def listed(versions: dict[str, str]) -> str:
    """The versions in one line, such as ``smpchat 0.1.0, Python 3.12.3``."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())
