"""Errors of the client layer; the tree is drawn in the package docstring."""

from __future__ import annotations

from smpchat.transport.base import TransportError


class NoResponse(TransportError):
    """A command has no usable answer. The relay may have executed it, so repeat it only if that does no harm."""


class ResponseTimeout(NoResponse):
    """No answer in time. The session continues; a message in a late answer is passed on as an event."""


class SessionClosed(NoResponse):
    """The session ended before the answer, or had ended when the command was posted. Use a new session."""


class UnexpectedResponse(NoResponse):
    """The answer is for another queue, or its form is unknown: the relay is faulty. The state at the relay is
    unknown."""
