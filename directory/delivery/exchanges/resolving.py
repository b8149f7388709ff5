"""What does the DNS say, and how far can it be trusted? Questions about mail domains, with their answers.

That a name or a record does not exist is an answer. That nobody could tell is `ResolvingFailed`: then nothing
may be concluded, least of all that a domain has no policy (RFC 7672 section 2.1.1).
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Generic, Protocol, TypeVar

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.name
import dns.rdatatype
import dns.resolver
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TLSA import TLSA
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from directory.delivery.exchanges.settings import DirectSettings

RecordT_co = TypeVar("RecordT_co", covariant=True)
IpAddress = IPv4Address | IPv6Address

_LARGEST_ANSWER = 1232
"""Octets over UDP; what is larger comes over TCP rather than in fragments, which can be forged."""
_REMEMBERED_ANSWERS = 10_000


class ResolvingFailed(Exception):
    """Nobody could tell: no answer, a server's failure, or an answer that did not validate."""

    def __init__(self, question: str, reason: str) -> None:
        super().__init__(f"{question}: {reason}")
        self.question = question
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[RecordT_co]):
    """What the DNS says to one question; no records where there are none."""

    records: tuple[RecordT_co, ...]
    name_exists: bool
    secure: bool
    """Whether it was validated by DNSSEC; also of the statement that there is nothing."""
    canonical_name: str
    """The name asked for, with aliases followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MxRecord:
    """A mail exchanger (RFC 5321 section 5.1)."""

    preference: int
    host: str
    """Lower case, without the last dot; empty where the domain takes no mail (RFC 7505)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsaRecord:
    """What certificate a server must show (RFC 6698 section 2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"


class Resolver(Protocol):
    """Answers questions to the DNS.

    Raises:
        ResolvingFailed: each of them, when nobody could tell.
    """

    async def mail_exchangers(self, domain: str) -> Answer[MxRecord]:
        """Return the MX records, as they come."""
        ...

    async def addresses(self, host: str) -> Answer[IpAddress]:
        """Return the AAAA and A records; secure only if both answers are."""
        ...

    async def tlsa(self, host: str, port: int) -> Answer[TlsaRecord]:
        """Return the TLSA records of a server on TCP."""
        ...

    async def texts(self, name: str) -> Answer[str]:
        """Return the TXT records, the strings of each joined."""
        ...


class DnsResolver:
    """Asks the configured resolver, and remembers its answers for as long as they hold."""

    def __init__(self, settings: DirectSettings) -> None:
        asking = dns.asyncresolver.Resolver(configure=settings.resolver is None)
        if settings.resolver is not None:
            asking.nameservers = [str(settings.resolver.address)]
            asking.port = settings.resolver.port
        asking.lifetime = settings.dns_timeout.total_seconds()
        asking.cache = dns.resolver.LRUCache(_REMEMBERED_ANSWERS)
        flags = dns.flags.RD
        if settings.dnssec:
            flags |= dns.flags.AD  # please say whether it validated (RFC 6840 section 5.7)
        asking.flags = flags
        asking.use_edns(0, dns.flags.DO if settings.dnssec else 0, _LARGEST_ANSWER)
        self._asking = asking
        self._trust = settings.dnssec

    async def mail_exchangers(self, domain: str) -> Answer[MxRecord]:
        """Return the MX records, as they come."""
        found = await self._ask(domain, RdataType.MX)
        return _with(
            found,
            tuple(
                MxRecord(preference=record.preference, host=_host(record.exchange))
                for record in found.records
                if isinstance(record, MX)
            ),
        )

    async def addresses(self, host: str) -> Answer[IpAddress]:
        """Return the AAAA and A records; secure only if both answers are."""
        six = await self._ask(host, RdataType.AAAA)
        four = await self._ask(host, RdataType.A)
        records = tuple(
            ip_address(record.address)
            for record in (*six.records, *four.records)
            if isinstance(record, A | AAAA)
        )
        return Answer(
            records=records,
            name_exists=six.name_exists or four.name_exists,
            secure=six.secure and four.secure,
            canonical_name=four.canonical_name,
        )

    async def tlsa(self, host: str, port: int) -> Answer[TlsaRecord]:
        """Return the TLSA records of a server on TCP."""
        found = await self._ask(f"_{port}._tcp.{host}", RdataType.TLSA)
        return _with(
            found,
            tuple(
                TlsaRecord(
                    usage=record.usage, selector=record.selector, matching=record.mtype, data=record.cert
                )
                for record in found.records
                if isinstance(record, TLSA)
            ),
        )

    async def texts(self, name: str) -> Answer[str]:
        """Return the TXT records, the strings of each joined."""
        found = await self._ask(name, RdataType.TXT)
        return _with(
            found,
            tuple(
                b"".join(record.strings).decode("utf-8", "replace")
                for record in found.records
                if isinstance(record, TXT)
            ),
        )

    async def _ask(self, name: str, kind: RdataType) -> Answer[object]:
        question = f"{kind.name} of {name}"
        try:
            answer = await self._asking.resolve(
                dns.name.from_text(name), kind, raise_on_no_answer=False, search=False
            )
        except dns.resolver.NXDOMAIN as error:
            secure = all(self._is_secure(response.flags) for response in error.responses().values())
            return Answer(records=(), name_exists=False, secure=secure, canonical_name=name)
        except (dns.exception.DNSException, OSError) as error:
            raise ResolvingFailed(question, _reason_of(error)) from error
        return Answer(
            records=tuple(answer.rrset or ()),
            name_exists=True,
            secure=self._is_secure(answer.response.flags),
            canonical_name=_host(answer.canonical_name),
        )

    def _is_secure(self, flags: int) -> bool:
        return self._trust and bool(flags & dns.flags.AD)


def _with(found: Answer[object], records: tuple[RecordT_co, ...]) -> Answer[RecordT_co]:
    return Answer(
        records=records,
        name_exists=found.name_exists,
        secure=found.secure,
        canonical_name=found.canonical_name,
    )


def _host(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower().removesuffix(".")


def _reason_of(error: Exception) -> str:
    match error:
        case dns.resolver.LifetimeTimeout():
            return "the resolver did not answer in time"
        case dns.resolver.NoNameservers():
            # SERVFAIL, which is also how a validating resolver says that an answer was forged.
            return "the resolver could not answer"
        case _:
            return type(error).__name__
