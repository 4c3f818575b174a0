"""Checks that a relay is the one in its address; if it is not, raises errors of the protocol layer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from smpchat.protocol.errors import CertificateTimeError, IdentityError
from smpchat.transport.base import CertificateNotCurrent, ChainRefused


def check_identity(chain: Sequence[bytes], key_hash: bytes, now: datetime) -> None:
    """Check the certificates that a relay sent (see `verify_chain`).

    Raises:
        CertificateTimeError: The certificates belong to the right relay, but are not valid at the time ``now``.
        IdentityError: The relay's certificates are invalid, or belong to a relay with another fingerprint.
    """
    from smpchat.transport.chain import verify_chain

    try:
        verify_chain(chain, key_hash, now)
    except CertificateNotCurrent as error:
        raise CertificateTimeError(str(error)) from error
    except ChainRefused as error:
        raise IdentityError(str(error)) from error
