"""SQLite files, whoever they belong to: opened so that what stands in them runs nothing, and rows taken out of those of
strangers. What a table means is the business of the packages that own it. Locks, and files that are being made."""
