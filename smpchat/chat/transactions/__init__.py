"""One operation of the chat layer each, inside one transaction: what a person does, and what arrives from contacts.

Nothing here waits; the agent's outbox carries what is to be sent. What a person can call is in `smpchat.chat.service`.
"""
