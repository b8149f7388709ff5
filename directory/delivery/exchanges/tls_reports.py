"""How did TLS to the exchangers of a domain go? Counted per day, written down as RFC 8460 has it.

Reports are kept and shown, not sent: whether and where a domain wants them, `_smtp._tls` would say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import Protocol

from directory.delivery.tls_faults import TlsFault


class PolicyKind(StrEnum):
    """Whose policy applied, in the words of a report (RFC 8460 section 4.2)."""

    TLSA = "tlsa"
    STS = "sts"
    NONE = "no-policy-found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The policy that a session was opened under."""

    kind: PolicyKind
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSession:
    """One attempt to protect a connection: it worked, or `fault` is why not."""

    domain: str
    policy: Policy
    mx_host: str
    fault: TlsFault | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsCount:
    """How many sessions of a day went alike."""

    day: date
    domain: str
    policy: Policy
    mx_host: str
    fault: TlsFault | None
    sessions: int


class TlsTally(Protocol):
    """Keeps the counts."""

    async def count(self, session: TlsSession, *, day: date) -> None:
        """Add one session to the counts of a day (UTC).

        Raises:
            StoreUnavailable: the database does not answer; nothing was counted.
        """
        ...


def report(
    counts: Iterable[TlsCount], *, day: date, organization_name: str, contact: str, report_id: str
) -> Mapping[str, object]:
    """Return the aggregate report of one day as RFC 8460 section 4.4 writes it down."""
    begin = datetime.combine(day, time(), UTC)
    of_day = sorted(
        (count for count in counts if count.day == day),
        key=lambda count: (count.domain, count.policy.kind, count.policy.lines, count.mx_host),
    )
    return {
        "organization-name": organization_name,
        "date-range": {
            "start-datetime": _written(begin),
            "end-datetime": _written(begin + timedelta(days=1) - timedelta(seconds=1)),
        },
        "contact-info": contact,
        "report-id": report_id,
        "policies": [
            _policy(domain, policy, list(alike))
            for (domain, policy), alike in groupby(of_day, key=attrgetter("domain", "policy"))
        ],
    }


def _policy(domain: str, policy: Policy, counts: list[TlsCount]) -> Mapping[str, object]:
    described: dict[str, object] = {"policy-type": policy.kind.value}
    if policy.lines:
        described["policy-string"] = list(policy.lines)
    described["policy-domain"] = domain
    if policy.kind is PolicyKind.STS:
        described["mx-host"] = [line.removeprefix("mx: ") for line in policy.lines if line.startswith("mx: ")]
    failures = [count for count in counts if count.fault is not None]
    result: dict[str, object] = {
        "policy": described,
        "summary": {
            "total-successful-session-count": sum(count.sessions for count in counts if count.fault is None),
            "total-failure-session-count": sum(count.sessions for count in failures),
        },
    }
    if failures:
        result["failure-details"] = [
            {
                "result-type": count.fault.value,
                "receiving-mx-hostname": count.mx_host,
                "failed-session-count": count.sessions,
            }
            for count in failures
            if count.fault is not None
        ]
    return result


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
