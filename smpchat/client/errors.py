"""Errors of the client layer; the package docstring shows their tree."""

from __future__ import annotations

from smpchat.transport.base import TransportError


class NoResponse(TransportError):
    """There is no usable answer to a command. The relay may have executed the command, so repeat it only if that does
    no harm."""


class ResponseTimeout(NoResponse):
    """There was no answer in time. The session continues, and a message in a late answer is passed on as an event."""


class SessionClosed(NoResponse):
    """The session ended before the answer, or had ended when the command was posted. Use a new session."""


class UnexpectedResponse(NoResponse):
    """The answer is for another queue, or in an unknown form: the relay is faulty. Whether the relay executed the
    command is unknown."""
