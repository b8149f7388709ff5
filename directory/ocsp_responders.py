"""Who signs OCSP responses for each issuing CA, and who certifies the next one in time?

Every process looks now and then. Whoever finds a responder due makes one, and the store takes only the one
that follows the latest: of several made at once one is kept, and all processes sign with that one. Its key is
sealed in the database; that of its predecessor is erased in the same transaction.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from cryptography import x509

from ca.errors import CaError
from ca.keys import PublicKey, algorithm_of
from ca.ocsp import OcspResponder
from ca.ocsprequests import IssuerMark, issuer_marks
from ca.pkcs11 import TokenKey
from ca.sealing import SealedSecret, SecretIdentity, SecretKind
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.rounds import Rounds, Uniform
from directory.timekeeping import Doubt, never_doubted

logger = logging.getLogger(__name__)

POLL: Final = timedelta(seconds=10)
"""How often a process looks, at least: so long an issuing CA that was just added has no responder."""
_REMINDERS_APART: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponder:
    """A responder as stored."""

    responder_id: str
    """The subject key identifier of its certificate, in hex."""
    issuer_id: str
    number: int
    """Counts the responders of an issuer from 1."""
    certificate: bytes
    """DER."""
    serial_number: int
    not_after: datetime
    sealed_key: SealedSecret | None
    """None when another has taken its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponderStanding:
    """An issuing CA, and its latest responder."""

    issuer_id: str
    certificate: bytes
    """DER."""
    sealed_key: SealedSecret | None
    """None where the issuer's key is elsewhere."""
    token_key: TokenKey | None = None
    """Where in a token the issuer's key is."""
    latest: StoredResponder | None


class ResponderStore(Protocol):
    """Keeps the responders."""

    async def standings(self) -> Sequence[ResponderStanding]:
        """Return every issuing CA."""
        ...

    async def succeed(self, responder: StoredResponder, *, event: AuditEvent) -> bool:
        """Keep a responder and erase its predecessor's key, if it follows the latest; tell whether it did."""
        ...


class ResponderWorkshop(Protocol):
    """Has the issuers' keys at hand. Both take a while, and belong into a thread."""

    def certify(self, standing: ResponderStanding, *, number: int, now: datetime) -> StoredResponder:
        """Make a key, and certify it for this issuer.

        Raises:
            CaError: the issuer's key is not here or does not open, or the issuer may certify nothing now.
        """
        ...

    def open(self, standing: ResponderStanding, responder: StoredResponder) -> OcspResponder:
        """Open the responder's key.

        Raises:
            CaError: it does not open, or is not what it should be.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """An issuer that we answer for."""

    issuer_id: str
    responder: OcspResponder | None
    """None while it has none."""


def ocsp_key_identity(responder_id: str) -> SecretIdentity:
    """Return what a responder's sealed key is bound to."""
    return SecretIdentity(kind=SecretKind.OCSP_KEY, record_id=responder_id, organization_id=None)


class OcspResponders:
    """Has the responder of every issuing CA at hand, and certifies those that are due."""

    def __init__(
        self,
        *,
        store: ResponderStore,
        workshop: ResponderWorkshop,
        renew_before: timedelta,
        clock: Clock,
        uniform: Uniform,
        doubt: Doubt = never_doubted,
    ) -> None:
        self._store = store
        self._workshop = workshop
        self._renew_before = renew_before
        self._clock = clock
        self._doubt = doubt
        self._rounds = Rounds(apart=POLL, failing="OCSP responders have to wait", uniform=uniform)
        self._opened: Mapping[str, OcspResponder] = {}
        self._seats: Mapping[IssuerMark, Seat] = {}
        self._reminded: dict[str, datetime] = {}

    def seat(self, mark: IssuerMark) -> Seat | None:
        """Return the issuer that the mark names; None if it is none of ours."""
        return self._seats.get(mark)

    async def refresh(self) -> None:
        """Certify what is due, then take up what is kept, whoever made it.

        An issuer that fails does not keep the others from theirs: it goes on with the responder it has.

        Raises:
            StoreUnavailable: the database does not answer; what was taken up before stays.
        """
        standings = await self._store.standings()
        due = [standing for standing in standings if self._is_due(standing)]
        for standing in due:
            try:
                await self._certify(standing)
            except CaError as error:
                self._say("issuer %s has no new OCSP responder: %s", standing.issuer_id, error)
        await self._take_up(await self._store.standings() if due else standings)

    async def run(self) -> None:
        """Look again and again until stopped; what fails is tried again next time."""
        await self._rounds.run(self.refresh)

    def stop(self) -> None:
        """Let `run` end."""
        self._rounds.stop()

    def _is_due(self, standing: ResponderStanding) -> bool:
        if self._doubt() is not None:
            return False
        now, latest = self._clock.now(), standing.latest
        ends = x509.load_der_x509_certificate(standing.certificate).not_valid_after_utc
        if ends <= now or (latest is not None and latest.not_after >= ends - timedelta(seconds=1)):
            return False  # nobody asks an issuer that has expired; nor can a responder outlive it
        return latest is None or latest.not_after - now < self._renew_before

    async def _certify(self, standing: ResponderStanding) -> None:
        number = standing.latest.number + 1 if standing.latest else 1
        made = await asyncio.to_thread(self._workshop.certify, standing, number=number, now=self._clock.now())
        if await self._store.succeed(made, event=self._event(made)):
            logger.info("issuer %s has certified OCSP responder %d", standing.issuer_id, number)

    def _event(self, made: StoredResponder) -> AuditEvent:
        certificate = x509.load_der_x509_certificate(made.certificate)
        return AuditEvent(
            kind=AuditKind.OCSP_RESPONDER_CERTIFIED,
            at=self._clock.now(),
            actor="service",
            subject=made.issuer_id,
            detail={
                "responder": made.responder_id,
                "number": str(made.number),
                "serial": f"{made.serial_number:x}",
                "algorithm": algorithm_of(certificate.public_key()).value,
                "not_after": made.not_after.isoformat(),
            },
        )

    async def _take_up(self, standings: Sequence[ResponderStanding]) -> None:
        opened: dict[str, OcspResponder] = {}
        seats: dict[IssuerMark, Seat] = {}
        for standing in standings:
            responder = await self._current(standing)
            if responder is not None:
                opened[standing.issuer_id] = responder
            seat = Seat(issuer_id=standing.issuer_id, responder=responder)
            seats |= dict.fromkeys(_marks(standing), seat)
        self._opened, self._seats = opened, seats

    async def _current(self, standing: ResponderStanding) -> OcspResponder | None:
        had, latest = self._opened.get(standing.issuer_id), standing.latest
        if latest is None or latest.sealed_key is None or latest.not_after <= self._clock.now():
            self._say("issuer %s has no OCSP responder: %s", standing.issuer_id, "every asker is put off")
            return None
        if had is not None and _is_certificate(had.certificate, latest.certificate):
            return had
        try:
            return await asyncio.to_thread(self._workshop.open, standing, latest)
        except CaError as error:
            self._say("issuer %s cannot use its OCSP responder: %s", standing.issuer_id, error)
            return had

    def _say(self, message: str, issuer_id: str, what: object) -> None:
        """Say in the log, now and then, what somebody has to do something about."""
        now, said = self._clock.now(), self._reminded.get(f"{issuer_id} {message}")
        if said is None or now - said >= _REMINDERS_APART:
            self._reminded[f"{issuer_id} {message}"] = now
            logger.error(message, issuer_id, what)


def _marks(standing: ResponderStanding) -> Sequence[IssuerMark]:
    certificate = x509.load_der_x509_certificate(standing.certificate)
    return issuer_marks(certificate, _ours(certificate.public_key()))


def _ours(public_key: object) -> PublicKey:
    if not isinstance(public_key, PublicKey):
        raise TypeError("an issuer's key is RSA or P-256")
    return public_key


def _is_certificate(certificate: x509.Certificate, der: bytes) -> bool:
    return certificate == x509.load_der_x509_certificate(der)
