"""What a user can do with a profile. There are several modules (reading, writing, connecting and others), so that a
command imports only what it needs.

Each change is one transaction. Nothing here is asynchronous: processes wait and go online in `smpchat.chat.online`.
"""
