"""What a person can do with a profile, split by what it needs to import: reading, writing, connecting.

Each call is one transaction. Nothing here is asynchronous: waiting and being online is `smpchat.chat.online`.
"""
