"""How long to wait before the next try: longer after each failure, up to a limit, and shortened at random, so that
clients do not all connect again at once."""

from __future__ import annotations

from smpchat.encoding.record import Record


class Delays(Record):
    """Delays that grow by half from ``first`` to ``longest``, in seconds."""

    first: float
    longest: float

    def after(self, attempts: int, jitter: float = 0.0) -> float:
        """Seconds to wait after ``attempts`` failed tries; ``jitter`` from 0 to 1 shortens the wait by up to a
        fifth."""
        # The exponent grows only to 40: by then, every delay in this module has long reached ``longest``. Without this
        # limit, after 58 hours with a try every two minutes, Python would have to compute 1.5 ** 1751, which raises
        # OverflowError.
        delay = min(self.longest, self.first * 1.5 ** min(max(attempts - 1, 0), 40))
        # Jitter only shortens a delay, so that no delay is above ``longest``. Without jitter, all clients of a relay
        # that restarts would connect again at the same moment.
        return delay * (1 - 0.2 * jitter)


UNANSWERED = Delays(2, 120)
"""Delays after a relay has answered too late, or has reported a fault of its own (agent-wire 5.4: 2 s, growing to
2 min)."""
QUOTA = Delays(10, 600)
"""Delays before the next try to send to a peer whose queue is full. If the peer sends QCONT, the delay ends early."""
REPEAT_CONFIRMATION = Delays(300, 86_400)
"""Limits for the delays between copies of an unsigned confirmation, which is sent again and again: each delay is as
long as the time since the relay first accepted the confirmation."""
FIRST_MESSAGE = (5.0, 30.0, 180.0)
"""Seconds before a queue is subscribed again, because its first message has not come, or because SUB or ACK failed. The
numbers are used in turn, and the last one again every time after that."""
AFTER_SUBSCRIBING = 1.0
"""Seconds after which a new subscription is repeated once, because relays sometimes do not push the first message."""
