"""SQLite files of any origin: opens them so that nothing in them is executed, and reads rows from files that other
people made. The meaning of a table is known only to the package that owns it. It also has locks, and unfinished
files."""
