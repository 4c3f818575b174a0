"""A relay's database with many queues and messages in it, made through the store of the relay that will read it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PER_COMMIT = 10_000

_SCRIPT = """
import os, sys, time
from pathlib import Path
from smpchat.crypto.keys import Ed25519PublicKey
from smpchat.relay.records import NewQueue, StoredMessage
from smpchat.relay.store import SQLiteStore
path, queues, messages, per_commit = Path(sys.argv[1]), *map(int, sys.argv[2:])
store = SQLiteStore(path)
made, now = [], int(time.time())
for number in range(queues):
    key = Ed25519PublicKey(os.urandom(32))
    made.append(store.create(NewQueue(os.urandom(24), os.urandom(24), (key,), os.urandom(32), key)))
    if number % per_commit == per_commit - 1:
        store.commit()
for number in range(messages):
    store.append(made[number % queues], StoredMessage(os.urandom(24), now, False, b"a small message"))
    if number % per_commit == per_commit - 1:
        store.commit()
store.commit()
store.close()
"""


def fill(folder: Path, queues: int, messages: int, *, source: Path | None = None) -> None:
    """Puts ``messages`` small messages evenly into ``queues`` new queues of the relay in ``folder``.

    Args:
        source: A checkout whose relay will use the folder, in place of the one that this interpreter imports.
    Raises:
        subprocess.CalledProcessError: The store failed.
    """
    environment = os.environ if source is None else {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, "-P", "-c", _SCRIPT, str(folder / "relay.db"), *map(str, (queues, messages, PER_COMMIT))]
    subprocess.run(command, check=True, env=environment)
