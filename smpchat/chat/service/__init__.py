"""What a user can do with a profile, split into modules by what they import: reading, writing, connecting.

Each call is one transaction. Nothing here is asynchronous: waiting and being online is `smpchat.chat.online`.
"""
