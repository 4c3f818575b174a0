"""Being online while a command waits: what `smpchat.chat.online.waiting` offers to commands."""

from smpchat.chat.online.waiting import RELAY_TIMEOUT, RelayDown, Wait, Waited, flush, settle, until

__all__ = ["RELAY_TIMEOUT", "RelayDown", "Wait", "Waited", "flush", "settle", "until"]
