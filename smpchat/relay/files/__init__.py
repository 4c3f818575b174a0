"""The part of the relay that stores files: an XFTP server, with chunks in files on the disk and an index in SQLite.

`server` accepts connections and reads requests, `commands` executes the requests, and `store` keeps the chunks, with an
`index` and a quota. Files have a port, threads, a database and limits of their own. So files never delay messages.
"""
