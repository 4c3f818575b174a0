"""The operations of the chat layer, each inside one transaction: actions of the user, and events from contacts.

Nothing here waits for the network: what must be sent is put into the agent's outbox. `smpchat.chat.service` calls the
actions, and the agent reports the events.
"""
