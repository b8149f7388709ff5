"""What happens too often to be told one by one? Counted, and told once per period, whoever floods us.

Each different thing is one event per period, at most so many; the rest is told together. So nobody can fill
the audit log, nor the memory, by being refused.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, Protocol

from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import StoreUnavailable
from directory.evidence.statements import moment_text

logger = logging.getLogger(__name__)

_OTHERS: Final = "others"
_IPV6_NETWORK_BITS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something that happens, without when and how often."""

    kind: AuditKind
    actor: str
    subject: str
    organization_id: str | None = None


@dataclass(slots=True, kw_only=True)
class _Count:
    first: datetime
    last: datetime
    times: int = field(default=0)


class EventSink(Protocol):
    """The audit log."""

    async def append(self, *events: AuditEvent) -> None:
        """Write events, all of them or none."""
        ...


class Tally:
    """Counts, and writes what it has counted every period."""

    def __init__(self, *, log: EventSink, clock: Clock, period: timedelta, most: int) -> None:
        self._log = log
        self._clock = clock
        self._period = period
        self._most = most
        self._counts: dict[Noted, _Count] = {}

    def note(self, noted: Noted) -> None:
        """Count something that has just happened."""
        now = self._clock.now()
        if noted not in self._counts and len(self._counts) >= self._most:
            noted = replace(noted, actor=_OTHERS, subject=_OTHERS, organization_id=None)
        count = self._counts.setdefault(noted, _Count(first=now, last=now))
        count.last = now
        count.times += 1

    async def run(self, stopped: asyncio.Event) -> None:
        """Write every period, and once more at the end."""
        while not stopped.is_set():
            try:
                async with asyncio.timeout(self._period.total_seconds()):
                    await stopped.wait()
            except TimeoutError:
                pass
            await self.write()

    async def write(self) -> None:
        """Write what was counted; if that fails, it is counted still."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        now = self._clock.now()
        try:
            await self._log.append(*(_event(noted, count, now) for noted, count in counts.items()))
        except StoreUnavailable as error:
            logger.warning("refusals are not on record yet: %s", error.reason)
            self._take_back(counts)

    def _take_back(self, counts: dict[Noted, _Count]) -> None:
        meanwhile, self._counts = self._counts, counts
        for noted, count in meanwhile.items():
            if noted in counts:
                counts[noted].last = count.last
                counts[noted].times += count.times
            else:
                counts[noted] = count


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessWatch:
    """Takes notice of who gets in, and who does not. Tells neither tokens nor addresses of recipients."""

    note_entry: Callable[[Noted], None]
    note_failure: Callable[[Noted], None]

    def entered(self, caller: str, organization_id: str | None) -> None:
        """Note that a caller has authenticated, such as `gateway:NAME`."""
        self.note_entry(
            Noted(
                kind=AuditKind.CALLER_AUTHENTICATED,
                actor=caller,
                subject=caller,
                organization_id=organization_id,
            )
        )

    def failed(self, peer: str | None, front_end: str) -> None:
        """Note that somebody showed credentials that are nobody's."""
        self.note_failure(
            Noted(
                kind=AuditKind.AUTHENTICATION_FAILED,
                actor=f"peer:{peer_network(peer)}",
                subject=f"front_end:{front_end}",
            )
        )


def peer_network(peer: str | None) -> str:
    """Return an IPv4 address, or the network of 64 bits of an IPv6 one: what one customer has."""
    try:
        address = ip_address((peer or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((address, _IPV6_NETWORK_BITS), strict=False))
    return str(address)


def _event(noted: Noted, count: _Count, now: datetime) -> AuditEvent:
    return AuditEvent(
        kind=noted.kind,
        at=now,
        actor=noted.actor,
        subject=noted.subject,
        organization_id=noted.organization_id,
        detail={
            "times": str(count.times),
            "first": moment_text(count.first),
            "last": moment_text(count.last),
        },
    )
