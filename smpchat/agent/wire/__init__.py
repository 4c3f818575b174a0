"""Encodes and decodes what agents exchange, as bytes or text: links, link data, queue addresses and envelopes.

Nothing here keeps state or looks at a clock. What the decoded data mean for a connection is decided in
`smpchat.agent.machines`.
"""
