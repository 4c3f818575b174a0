"""The part of the relay that stores files: an XFTP server, with chunks as files on the disk and an index in SQLite.

`server` accepts connections and reads requests, `commands` holds what each of them means, `store` keeps chunks and
their quota over an `index`. It never uses a queue: it has its own port, threads, database and limits, so that files
never delay messages.
"""
