"""Formats of the chat layer: converts message bodies, profiles and aliases from JSON and text to values, and back.

The functions of this package keep no state and do not look at a clock. `smpchat.chat.transactions` decides what happens
with the values in a conversation.
"""
