"""What makes the relay keep files as well: an XFTP server, with chunks as files of the disk and an index in SQLite.

`server` accepts connections and reads requests, `commands` holds what each of them means, `store` keeps chunks and
their quota over an `index`. Nothing here touches a queue: it has a port, threads, a database and limits of its own, so
that whoever sends or fetches files holds up no message.
"""
