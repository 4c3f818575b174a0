"""Opens SQLite files so that nothing in them is executed, and reads rows from files that other people made.

Only the package that owns a table knows what the table means; `smpchat.storage` does not. This package also contains
locks between processes, and a register of unfinished files.
"""
