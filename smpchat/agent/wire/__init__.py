"""Formats of the agent: links, link data, queue addresses and envelopes, as bytes or text and back.

Nothing here keeps state or looks at a clock. What a value means for a connection is decided in
`smpchat.agent.machines`.
"""
