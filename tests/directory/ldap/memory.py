"""A directory in memory behind the front end's two ports, and answers to give by hand."""

import hashlib
from collections.abc import Collection, Iterable
from datetime import timedelta

from ca.address import Mailbox, MailDomain
from directory.authorities import FixedAuthorities
from directory.callers import Anonymous, Credential, Gateway
from directory.ldap.entries import Entry
from directory.ldap.recipients import People
from directory.ldap.selection import Selection
from directory.ldap.settings import Presentation
from directory.lookup import (
    Absent,
    Answer,
    Deferred,
    Found,
    Intent,
    Minted,
    Origin,
    PublishedCertificate,
    Question,
)
from directory.policy import Refusal
from tests.builders import NOW
from tests.directory.builders import a_gateway

TOKEN = "ppgw_0011223344556677_" + "ab" * 20
FINGERPRINT = hashlib.sha256(b"the gateway's certificate").digest()
BIND_NAME = "cn=gw,ou=gateways,o=directory"


def der_of(address: str) -> bytes:
    """Return octets that stand for the address's certificate; the front end does not look inside."""
    return hashlib.sha512(address.lower().encode()).digest() * 16


def a_published_certificate(
    address: str, origin: Origin = Origin.FOUND, *, der: bytes | None = None
) -> PublishedCertificate:
    return PublishedCertificate(
        mailbox=Mailbox.parse(address) if "@" in address else MailDomain.parse(address),
        der=der or der_of(address),
        serial=1,
        not_before=NOW,
        not_after=NOW + timedelta(days=730),
        origin=origin,
    )


def found(address: str = "alice@example.com", *, further: Iterable[bytes] = ()) -> Found:
    return Found(
        certificate=a_published_certificate(address),
        further=tuple(a_published_certificate(address, Origin.MINTED, der=der) for der in further),
    )


def a_person(address: str = "alice@example.com") -> Entry:
    """Return the entry of a recipient with one certificate."""
    people = People("ou=people,o=directory", Presentation(), FixedAuthorities())
    return people.preferred(Mailbox.parse(address), found(address), Selection.of((), types_only=False))


def minted(address: str = "alice@example.com") -> Minted:
    return Minted(certificate=a_published_certificate(address, Origin.MINTED), enrolment_id="enrolment-1")


def absent(refusal: Refusal = Refusal.NOT_FOUND) -> Absent:
    return Absent(refusal=refusal)


def deferred(refusal: Refusal = Refusal.LIMIT_REACHED) -> Deferred:
    return Deferred(refusal=refusal, retry_after=timedelta(seconds=5))


class Directory:
    """Knows Alice, or others, and mints for a gateway whatever else it asks for."""

    def __init__(self, known: Iterable[str] = ("alice@example.com",), gateway: Gateway | None = None) -> None:
        self._gateway = gateway or a_gateway()
        self._published = {Mailbox.parse(text).key: found(text) for text in known}
        self.questions: list[Question] = []
        self.mints: list[str] = []

    def publish(self, answer: Found) -> None:
        """Have these certificates from now on, for whom the first of them is."""
        self._published[answer.certificate.mailbox.key] = answer

    def answer_now(self, question: Question) -> Answer:
        self.questions.append(question)
        if isinstance(question.asker, Anonymous) and not question.asker.may_read:
            return absent()
        for key in question.keys:
            if key in self._published:
                return self._published[key]
        key = question.mailbox.key
        is_reading = question.intent is Intent.READ_ONLY or isinstance(question.mailbox, MailDomain)
        if is_reading or not isinstance(question.asker, Gateway):
            return absent()
        self.mints.append(key)
        made = minted(str(question.mailbox))
        self._published[key] = Found(certificate=made.certificate)
        return made

    async def answer(self, question: Question) -> Answer:
        return self.answer_now(question)

    def authenticate(self, name: str, token: str) -> Gateway | None:
        return self._gateway if (name.lower(), token) == (self._gateway.name, TOKEN) else None

    def certified(self, sha256: bytes) -> Gateway | None:
        return self._gateway if sha256 == FINGERPRINT else None

    async def certified_gateway(self, sha256: bytes) -> Gateway | None:
        return self.certified(sha256)

    async def still_good(self, credentials: Collection[Credential]) -> dict[Credential, Gateway]:
        return dict.fromkeys(credentials, self._gateway)

    async def named_gateway(self, name: str, token: str) -> Gateway | None:
        return self.authenticate(name, token)
