"""Opens SQLite files so that nothing in them is executed, and reads rows from files that other people made.

Only the package that owns a table knows what the table means. There are also locks here, and a register of unfinished
files.
"""
