"""The embedded relay: an SMP server that keeps queues and messages in SQLite.

`commands` executes commands; `notifications`, `information` and `forwarding` help with some of them. `store` is the
database, and `subscriptions` knows which client is subscribed to which queue. `worker` runs the commands that are ready
as one transaction, and sends their answers after the commit. `server` accepts connections, and `daemon` runs the relay
whose data is in a given folder. `proxy` forwards commands to other relays, with a `relay_session` for each of these
relays; `destinations` says to which relays it may connect. `options` are the operator's options. `statistics` and
`local_http` report what a running relay does. `backup` backs up a relay, and restores it.

Errors::

    RelayError
    ├── RelayStoreError    the database cannot be read or written
    │   └── RelayStoreNewer    a newer smpchat wrote it
    ├── RelayFolderRefused the folder cannot be created, read or written
    ├── RelayRunning       another relay is running on this folder
    ├── RelayPortTaken     the port that links contain is in use
    ├── RelayStartFailed   the background process did not start
    ├── RelayTurnedOff     the user stopped the relay, so commands do not start it
    ├── RelayNotRunning    the relay is not running, so it cannot be asked for anything
    ├── RelayOptionRefused the value of an option is not allowed
    └── BackupRefused      a backup cannot be written or restored
"""
