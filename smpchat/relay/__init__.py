"""The embedded relay: an SMP server with its queues and messages in SQLite.

`queues` holds what each command means, with `notifications`, `information` and `forwarding` for parts of it; `store`
keeps it, `subscriptions` knows who listens, `server` joins them to connections, `daemon` runs one relay per folder.
Commands that are ready together run in one transaction, and every answer leaves after its commit. `proxy` sends to
other relays for clients, through a `relay_session` with each, as far as `destinations` lets it.

Errors::

    RelayError
    ├── RelayStoreError    the database cannot be read or written
    ├── RelayRunning       another relay runs on this folder
    ├── RelayPortTaken     the port that links contain is in use
    ├── RelayStartFailed   the background process did not come up
    └── RelayTurnedOff     stopped on purpose, so not started on demand
"""

from smpchat.relay.errors import (
    RelayError,
    RelayPortTaken,
    RelayRunning,
    RelayStartFailed,
    RelayStoreError,
    RelayTurnedOff,
)

__all__ = [
    "RelayError",
    "RelayPortTaken",
    "RelayRunning",
    "RelayStartFailed",
    "RelayStoreError",
    "RelayTurnedOff",
]
