"""When is a mail that was not accepted tried again, and when never? Arithmetic only.

RFC 5321 section 4.5.4.1: wait before the second attempt, wait at least 30 minutes once it takes long, and
do not give up before four or five days. The jitter keeps a thousand mails that failed together, while their
smart host was away, from coming back together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

Uniform = Callable[[float, float], float]
"""Draws a number between two others, such as `random.SystemRandom().uniform`."""

_MOST_DOUBLINGS = 16
"""Enough for any back-off; keeps a mail tried a million times from asking for two to the millionth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Pauses that double: each is drawn between its lower bound and twice that.

    The first is one to two minutes, from the eighth on they are two to four hours.
    """

    shortest: timedelta = timedelta(minutes=1)
    longest: timedelta = timedelta(hours=4)

    def next_attempt(
        self, *, attempts: int, now: datetime, give_up_at: datetime, uniform: Uniform
    ) -> datetime | None:
        """Return when to try again after a failure, `attempts` having failed before it; None to give up.

        The last attempt is made at `give_up_at` itself, or as soon as somebody looks after it: a mail is
        never given up for want of an attempt, however long the service was down.
        """
        if now >= give_up_at:
            return None
        return min(now + self._pause(attempts, uniform), give_up_at)

    def _pause(self, attempts: int, uniform: Uniform) -> timedelta:
        lower = min(self.shortest * (1 << min(attempts, _MOST_DOUBLINGS)), self.longest / 2)
        return lower * uniform(1.0, 2.0)
