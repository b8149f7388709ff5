"""What does the HTTP front end need from the rest of the house? Its ports and its settings."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from directory.access import AnonymousRead, MetricsAccess
from directory.authorities import CrlShelf
from directory.callers import Authentication
from directory.clock import Clock
from directory.http.pages.services import PageServices
from directory.http.peers import Network
from directory.lookup import Answer, Question
from directory.ocsp import OcspDesk
from directory.outbox_admin import MailReader
from directory.recovery import RecoveryDesk
from directory.relay import RelayDesk
from directory.resending import KeyMailResender
from directory.status import EnrolmentReader

AnswerQuestion = Callable[[Question], Awaitable[Answer]]
"""How a question for one address is answered: `Lookup.answer`."""

MetricsPage = Callable[[], Awaitable["Page"]]
"""Makes the page of metrics."""

RequestTally = Counter[tuple[str, ...]]
"""How often a method and a route have been answered with a status, since the start."""


class IssuerCatalogue(Protocol):
    """Knows the certificates of the authority itself: its issuing CAs and their roots."""

    async def issuer_certificates(self) -> Mapping[str, bytes]:
        """Return the DER of every issuer by its identifier, which is hexadecimal."""
        ...

    async def cross_certificates(self) -> Mapping[str, Sequence[bytes]]:
        """Return what other CAs have certified of issuers' keys, DER, by the issuer's identifier."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Something that is made anew for whoever reads it."""

    content: bytes
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCheck:
    """One thing the service works with, and what is wrong with it now."""

    name: str
    """Stable, such as `database`; shown to everybody."""
    failure: str | None = None
    """None while all is well; shown in the log only."""
    needed: bool = True
    """Whether the service is not to be asked while it fails; else it only does less, and says so itself."""


class ReadinessProbe(Protocol):
    """Finds out whether this process can do its work."""

    async def checks(self) -> Sequence[NamedCheck]:
        """Check everything once; a failing check is a value, not an exception."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """The operator's rules for HTTP."""

    allowed_hosts: frozenset[str] = frozenset({"localhost", "127.0.0.1", "::1"})
    """What a request's Host may name, without port."""
    anonymous_read: AnonymousRead = AnonymousRead.LOOPBACK
    credentials_in_clear_from_loopback: bool = True
    metrics: MetricsAccess = MetricsAccess.LOOPBACK
    trusted_proxies: frozenset[Network] = frozenset()
    """Whose X-Forwarded-For and X-Forwarded-Proto are believed. A proxy listed here vouches for its own side:
    what it says came over TLS counts as TLS."""
    largest_body: int = 64 * 1024
    """In octets."""
    body_patience: timedelta = timedelta(seconds=10)
    """How long a request's body may take to arrive."""
    probe_patience: timedelta = timedelta(seconds=2)
    """How long a readiness check may take before it counts as failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServices:
    """Everything the routes use."""

    answer: AnswerQuestion
    authentication: Authentication
    relay_desk: RelayDesk
    resender: KeyMailResender
    recoveries: RecoveryDesk
    enrolments: EnrolmentReader
    mails: MailReader
    issuers: IssuerCatalogue
    crls: CrlShelf
    ocsp: OcspDesk
    readiness: ReadinessProbe
    metrics: MetricsPage
    pages: PageServices
    requests: RequestTally
    clock: Clock
    settings: HttpSettings
