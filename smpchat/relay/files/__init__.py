"""The part of the relay that stores files: an XFTP server, with chunks in files on the disk and an index in SQLite.

`server` accepts connections and reads requests, `commands` executes the requests, and `store` keeps the chunks, with an
`index` and a quota. This server has its own port, threads, database and limits. So files never delay messages.
"""
