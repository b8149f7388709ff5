"""How often may somebody try addresses of pages that do not exist? As often as a person, not as a program.

A link has 160 secret bits, so nobody guesses one however often he tries. The limit only keeps whoever tries
all the same from keeping the database busy; so it need not survive a restart, nor hold across processes.
"""

from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

from directory.errors import LimitReached
from directory.limits import Limit, Rate

WRONG_GUESSES = Rate(burst=30, period=timedelta(minutes=5))
MOST_REMEMBERED = 10_000

_IPV6_NETWORK_BITS = 64
"""So much of an IPv6 address its holder cannot choose at will."""


class GuessLimit:
    """Counts wrong guesses by where they come from."""

    def __init__(self, *, rate: Rate = WRONG_GUESSES, most_remembered: int = MOST_REMEMBERED) -> None:
        self._rate = rate
        self._most = most_remembered
        self._arrivals: dict[str, datetime] = {}

    def is_used_up(self, address: str | None, now: datetime) -> bool:
        """Whether so many were wrong that the next is not looked at."""
        arrival = self._arrivals.get(_origin(address))
        try:
            self._limit.charge(arrival, now)
        except LimitReached:
            return True
        return False

    def count(self, address: str | None, now: datetime) -> None:
        """Take note of a wrong guess."""
        origin = _origin(address)
        try:
            arrival = self._limit.charge(self._arrivals.pop(origin, None), now)
        except LimitReached:
            # Two at once, of which the other was the last that was looked at.
            arrival = now + self._rate.period
        self._arrivals[origin] = arrival
        if len(self._arrivals) > self._most:
            self._forget(now)

    @property
    def _limit(self) -> Limit:
        return Limit(name="link_guesses", bucket="", rate=self._rate)

    def _forget(self, now: datetime) -> None:
        """Drop who has been quiet; if that is nobody, who guessed least recently."""
        kept = {origin: arrival for origin, arrival in self._arrivals.items() if arrival > now}
        if len(kept) > self._most:
            kept.pop(next(iter(kept)))
        self._arrivals = kept


def _origin(address: str | None) -> str:
    """Return whom an address stands for; everybody whose address is not certain is one."""
    if address is None:
        return ""
    parsed = ip_address(address)
    if parsed.version == 4:  # noqa: PLR2004 - IPv4
        return str(parsed)
    return str(ip_network((int(parsed), _IPV6_NETWORK_BITS), strict=False))
