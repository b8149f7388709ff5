"""How much is too much? Rate limits by the generic cell rate algorithm, as arithmetic without storage.

Each limit is one stored moment, the theoretical arrival time: the moment at which the bucket would be full
again. The store keeps the moments and locks them while they are charged, so that a limit is never overshot.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ca.address import Mailbox
from directory.errors import LimitReached


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many at once, and as many again per period. Zero switches the limit off."""

    burst: int
    period: timedelta
    """How long an empty bucket takes to fill up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A rate applied to somebody."""

    name: str
    """Which limit, such as `gateway_hour`; stable."""
    bucket: str
    """Whose bucket, such as `gateway_hour:ID`."""
    rate: Rate

    def charge(self, arrival: datetime | None, now: datetime) -> datetime:
        """Take one from the bucket; return the new theoretical arrival time.

        Raises:
            LimitReached: the bucket is empty.
        """
        # Rounded down to the microsecond: rounded up, the last of a burst would not fit.
        interval = self.rate.period // self.rate.burst
        later = max(arrival or now, now) + interval
        if later > now + self.rate.period:
            raise LimitReached(limit=self.name, retry_after=later - now - self.rate.period)
        return later


@dataclass(frozen=True, slots=True, kw_only=True)
class MintRates:
    """The operator's limits on minting."""

    gateway_hour: Rate
    gateway_day: Rate
    organization_day: Rate
    recipient_day: Rate
    """Per mailbox with tag and dots taken away, so that `victim+1@`, `victim+2@` are one."""
    domain_day: Rate

    def limits_for(self, *, gateway_id: str, organization_id: str, mailbox: Mailbox) -> tuple[Limit, ...]:
        """Return the limits that one mint is charged to, always in the same order (they are locked in it)."""
        charged = (
            ("domain_day", mailbox.domain, self.domain_day),
            ("gateway_day", gateway_id, self.gateway_day),
            ("gateway_hour", gateway_id, self.gateway_hour),
            ("organization_day", organization_id, self.organization_day),
            ("recipient_day", mailbox.base_key, self.recipient_day),
        )
        return tuple(
            Limit(name=name, bucket=f"{name}:{whose}", rate=rate)
            for name, whose, rate in charged
            if rate.burst
        )


class UsedUpLimits:
    """Remembers until when a limit is used up, so that asking again costs no key and no transaction.

    What the store has once refused it will refuse until the moment it named: a bucket fills up with time and
    with nothing else. Somebody who keeps asking beyond his limit must not take what others need.
    """

    def __init__(self) -> None:
        self._until: dict[str, datetime] = {}

    def remember(self, limits: Iterable[Limit], refused: LimitReached, now: datetime) -> None:
        """Keep in mind which of the limits the store has just refused."""
        self._until = {bucket: until for bucket, until in self._until.items() if until > now}
        for limit in limits:
            if limit.name == refused.limit:
                self._until[limit.bucket] = now + refused.retry_after

    def check(self, limits: Iterable[Limit], now: datetime) -> None:
        """Return if none of the limits is known to be used up.

        Raises:
            LimitReached: one of them is.
        """
        for limit in limits:
            until = self._until.get(limit.bucket)
            if until is not None and until > now:
                raise LimitReached(limit=limit.name, retry_after=until - now)
