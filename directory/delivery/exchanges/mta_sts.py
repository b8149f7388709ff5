"""What does the domain itself ask of those who bring it mail? Its MTA-STS policy (RFC 8461).

A policy is found through the DNS, fetched by HTTPS and kept for as long as it says. What is kept protects
against who can suppress either, so it is kept durably, and it holds although neither can be reached now.
"""

import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from checkdmarc.mta_sts import (
    MTASTSError,
    mx_in_mta_sts_patterns,
    parse_mta_sts_policy,
    parse_mta_sts_record,
)

from directory.delivery.exchanges.resolving import Resolver, ResolvingFailed
from directory.delivery.tls_faults import TlsFault
from directory.errors import StoreUnavailable

logger = logging.getLogger(__name__)

_AGAIN = timedelta(minutes=5)
"""After how long a policy that could not be fetched is asked for again (RFC 8461 section 3.3)."""
_MOST_FAILURES_REMEMBERED = 10_000
_LONGEST_AGE = timedelta(days=366)


class StsMode(StrEnum):
    """How binding a policy is (RFC 8461 section 5)."""

    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class StsPolicy:
    """What a domain asks for, until when."""

    domain: str
    policy_id: str
    mode: StsMode
    patterns: tuple[str, ...]
    """Names its exchangers have; `*.example.org` stands for one label in place of the star."""
    fetched_at: datetime
    expires_at: datetime

    def covers(self, host: str) -> bool:
        """Whether the policy names this exchanger (RFC 8461 section 4.1)."""
        return bool(mx_in_mta_sts_patterns(host, list(self.patterns)))

    @property
    def lines(self) -> tuple[str, ...]:
        """The policy as a report repeats it (RFC 8460 section 4.4)."""
        age = int((self.expires_at - self.fetched_at).total_seconds())
        names = (f"mx: {pattern}" for pattern in self.patterns)
        return ("version: STSv1", f"mode: {self.mode.value}", *names, f"max_age: {age}")


class StsFailed(Exception):
    """A policy that was announced could not be had."""

    def __init__(self, fault: TlsFault, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault
        self.reason = reason


class PolicyCache(Protocol):
    """Keeps policies beyond a restart."""

    async def find(self, domain: str) -> StsPolicy | None:
        """Return the policy of a domain, expired or not.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...

    async def keep(self, policy: StsPolicy) -> None:
        """Keep the policy in place of the domain's former one.

        Raises:
            StoreUnavailable: the database does not answer; nothing was kept.
        """
        ...


class PolicyFetcher(Protocol):
    """Fetches policies."""

    async def fetch(self, domain: str) -> str:
        """Return the text of a domain's policy.

        Raises:
            StsFailed: it was not to be had, or not in a way that proves where it comes from.
        """
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What was found about a domain's policy."""

    policy: StsPolicy | None
    fault: TlsFault | None = None
    """Why an announced policy could not be had, or not anew; a report tells the domain."""


class MtaSts:
    """Knows which policy is in force for a domain."""

    def __init__(self, *, resolver: Resolver, fetcher: PolicyFetcher, cache: PolicyCache) -> None:
        self._resolver = resolver
        self._fetcher = fetcher
        self._cache = cache
        self._failures: OrderedDict[tuple[str, str], tuple[datetime, TlsFault]] = OrderedDict()

    async def discover(self, domain: str, now: datetime) -> Discovery:
        """Return the policy in force: one newly fetched where there is a new one, else the one kept.

        A kept policy is fetched again when half its time is over, so that it seldom runs out.

        Raises:
            StoreUnavailable: what was kept cannot be read, and without it nothing may be concluded.
        """
        kept = await self._cache.find(domain)
        if kept is not None and kept.expires_at <= now:
            kept = None
        announced = await self._announced(domain)
        if announced is None:
            return Discovery(policy=kept)
        if kept is not None and kept.policy_id == announced and now < _middle(kept):
            return Discovery(policy=kept)
        failed = self._failures.get((domain, announced))
        if failed is not None and now < failed[0] + _AGAIN:
            return Discovery(policy=kept, fault=failed[1])
        try:
            policy = read_policy(await self._fetcher.fetch(domain), domain, announced, now)
        except StsFailed as error:
            logger.info("the MTA-STS policy of %s: %s", domain, error.reason)
            self._remember_failure(domain, announced, now, error.fault)
            return Discovery(policy=kept, fault=error.fault)
        try:
            await self._cache.keep(policy)
        except StoreUnavailable as error:
            logger.warning("an MTA-STS policy is in force, but not kept: %s", error.reason)
        return Discovery(policy=policy)

    async def close(self) -> None:
        """Let go of every connection."""
        await self._fetcher.close()

    async def _announced(self, domain: str) -> str | None:
        """Return the identifier of the policy that the domain announces, if it does (section 3.1)."""
        try:
            texts = (await self._resolver.texts(f"_mta-sts.{domain}")).records
        except ResolvingFailed:
            return None
        announcements = [text for text in texts if text.startswith("v=STSv1;")]
        if len(announcements) != 1:
            return None
        try:
            return str(parse_mta_sts_record(announcements[0])["tags"]["id"])
        except MTASTSError:
            return None

    def _remember_failure(self, domain: str, policy_id: str, now: datetime, fault: TlsFault) -> None:
        self._failures[domain, policy_id] = now, fault
        self._failures.move_to_end((domain, policy_id))
        while len(self._failures) > _MOST_FAILURES_REMEMBERED:
            self._failures.popitem(last=False)


def read_policy(text: str, domain: str, policy_id: str, now: datetime) -> StsPolicy:
    """Read a policy as it was fetched (RFC 8461 section 3.2).

    Raises:
        StsFailed: it is none.
    """
    try:
        parsed = parse_mta_sts_policy(text)["policy"]
    except MTASTSError as error:
        raise StsFailed(TlsFault.STS_POLICY_INVALID, str(error)) from error
    age = min(timedelta(seconds=parsed["max_age"]), _LONGEST_AGE)
    return StsPolicy(
        domain=domain,
        policy_id=policy_id,
        mode=StsMode(parsed["mode"]),
        patterns=tuple(pattern.lower() for pattern in parsed["mx"]),
        fetched_at=now,
        expires_at=now + age,
    )


def _middle(policy: StsPolicy) -> datetime:
    return policy.fetched_at + (policy.expires_at - policy.fetched_at) / 2
