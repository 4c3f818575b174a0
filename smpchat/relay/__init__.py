"""The embedded relay: an SMP server with its queues and messages in SQLite.

`queues` holds what each command means, with `notifications`, `information` and `forwarding` for parts of it; `store`
keeps it, `subscriptions` knows who listens, `server` joins them to connections, `daemon` runs one relay per folder.
Commands that are ready together run in one transaction, and every answer leaves after its commit. `proxy` sends to
other relays for clients, through a `relay_session` with each, as far as `destinations` lets it. `options` are the
choices of its operator, `statistics` and `local_http` report what the running relay does, and `backup` copies it.

Errors::

    RelayError
    ├── RelayStoreError    the database cannot be read or written
    │   └── RelayStoreNewer    a newer smpchat wrote it
    ├── RelayRunning       another relay runs on this folder
    ├── RelayPortTaken     the port that links contain is in use
    ├── RelayStartFailed   the background process did not come up
    ├── RelayTurnedOff     stopped on purpose, so not started on demand
    ├── RelayNotRunning    asked for what only a running relay can tell
    ├── RelayOptionRefused an option has a value that it cannot have
    └── BackupRefused      a backup cannot be written or restored
"""
