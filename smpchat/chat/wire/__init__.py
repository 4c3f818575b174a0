"""Formats of the chat layer: bodies of messages, profiles and aliases, converted from JSON and text to values and back.

Nothing here keeps state or looks at a clock. What happens with a value in a conversation is decided in
`smpchat.chat.transactions`.
"""
