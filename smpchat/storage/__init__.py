"""Opens SQLite files so that as little of their schema as possible is executed, and reads rows from files that other
people made.

`smpchat.storage` does not know what a table means; only the package that owns the table does. `smpchat.storage` also
contains locks between processes, and a register of unfinished files.
"""
