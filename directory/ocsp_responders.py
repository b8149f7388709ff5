"""Who signs OCSP responses for each issuing CA, and who certifies the next one in time?

Every process looks now and then. Whoever finds a responder due makes one, and the store takes only the one
that follows the latest: of several made at once one is kept, and all processes sign with that one. Its key is
sealed in the database, and that of its predecessor erased in the same transaction; or it is in a token, where
that of its predecessor is destroyed a while later (`directory/sparekeys.py`).
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from cryptography import x509

from ca.errors import CaError
from ca.keys import PublicKey, algorithm_of
from ca.ocsp import OcspResponder
from ca.ocsprequests import IssuerMark, issuer_marks
from ca.pkcs11 import TokenKey
from ca.sealing import SealedSecret, SecretIdentity, SecretKind
from ca.signers import place_of
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import Unknown
from directory.rounds import Rounds, Uniform
from directory.sparekeys import UNCLAIMED_AFTER
from directory.timekeeping import Doubt, never_doubted

logger = logging.getLogger(__name__)

POLL: Final = timedelta(seconds=10)
"""How often a process looks, at least: so long an issuing CA that was just added has no responder."""
_REMINDERS_APART: Final = timedelta(minutes=5)
_SHORTEST_PAUSE: Final = timedelta(minutes=1)
_LONGEST_PAUSE: Final = timedelta(hours=1)
"""How far attempts are apart that leave keys in a token: each twice as far as the one before."""


class ResponderKey(StrEnum):
    """Where a responder's key is made."""

    SOFTWARE = "software"
    TOKEN = "token"  # noqa: S105 - a place, not a password


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
    """None where the key is in a token, or another has taken its place."""
    token_key: TokenKey | None = None
    """Where in a token its key is; None when another has taken its place."""

    @property
    def has_key(self) -> bool:
        """Whether it can sign in some service."""
        return self.sealed_key is not None or self.token_key is not None


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

    async def announce(self, place: TokenKey, *, unclaimed_from: datetime) -> None:
        """Write down where in a token a key is about to be made: if it stays nobody's, it is destroyed."""
        ...

    async def succeed(self, responder: StoredResponder, *, event: AuditEvent) -> bool:
        """Keep a responder and erase its predecessor's key, if it follows the latest; tell whether it did."""
        ...


class ResponderWorkshop(Protocol):
    """Has the issuers' keys at hand. All take a while, and belong into a thread."""

    def place(self, standing: ResponderStanding) -> TokenKey | None:
        """Return where in the token the next key for this issuer is to be; None if it is to be sealed.

        Raises:
            CaError: the issuer's key is not here, or it or the token cannot be used now.
        """
        ...

    def certify(
        self, standing: ResponderStanding, *, number: int, now: datetime, place: TokenKey | None
    ) -> StoredResponder:
        """Make a key, at this place in the token or sealed, and certify it for this issuer.

        Raises:
            CaError: the issuer's key is not here or does not open, or the issuer may certify nothing now.
        """
        ...

    def open(self, standing: ResponderStanding, responder: StoredResponder) -> OcspResponder:
        """Open the responder's key, and find out whether the token has it where it is in one.

        Raises:
            CaError: it does not open, or is not what it should be.
        """
        ...

    def misses(self, responder: StoredResponder) -> bool:
        """Tell whether its key is missing from a token that is in order, as last known; asks nobody."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pause:
    """Until when an issuer makes no key in a token, for the last one came to nothing."""

    length: timedelta
    until: datetime

    def is_over(self, now: datetime) -> bool:
        """Tell whether it is; by a clock that was set back it is too."""
        return not timedelta(0) < self.until - now <= self.length


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
        self._pauses: dict[str, _Pause] = {}

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
        due = [one for one in standings if self._is_due(one) and not self._is_paused(one.issuer_id)]
        for standing in due:
            if standing.latest is not None and self._workshop.misses(standing.latest):
                what = "the key of the latest one is not in the token any more"
                self._say("issuer %s needs another OCSP responder: %s", standing.issuer_id, what)
            try:
                await self._certify(standing)
            except CaError as error:
                self._say("issuer %s has no new OCSP responder: %s", standing.issuer_id, error)
        await self._take_up(await self._store.standings() if due else standings)

    async def take_up(self) -> None:
        """Take up what is kept, and certify nothing: that may take a token minutes.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        await self._take_up(await self._store.standings())

    async def run(self) -> None:
        """Look at once, then again and again until stopped; what fails is tried again next time."""
        await self._rounds.attempt(self.refresh)
        await self._rounds.run(self.refresh)

    def stop(self) -> None:
        """Let `run` end."""
        self._rounds.stop()

    def _is_due(self, standing: ResponderStanding) -> bool:
        if self._doubt() is not None:
            return False
        now, latest = self._clock.now(), standing.latest
        ends = self._ends(standing)
        if ends <= now:
            return False  # nobody asks an issuer that has expired
        if latest is None or not latest.has_key or self._workshop.misses(latest):
            return True
        if latest.not_after >= ends - timedelta(seconds=1):
            return False  # a responder cannot outlive it
        return latest.not_after - now < self._renew_before

    def _is_paused(self, issuer_id: str) -> bool:
        pause = self._pauses.get(issuer_id)
        return pause is not None and not pause.is_over(self._clock.now())

    def _pause(self, issuer_id: str, now: datetime) -> None:
        """Put the next attempt off, until this one has come to something: otherwise keys would pile up."""
        before = self._pauses.get(issuer_id)
        length = _SHORTEST_PAUSE if before is None else min(2 * before.length, _LONGEST_PAUSE)
        self._pauses[issuer_id] = _Pause(length=length, until=now + length)

    async def renew(self, issuer_id: str, actor: str) -> StoredResponder | None:
        """Certify the next responder of an issuer though it is not due; None if somebody else just has.

        Raises:
            Unknown: it is no issuing CA of ours that is valid.
            CaError: the issuer's key is not here, or the token makes none.
            StoreUnavailable: the database does not answer.
        """
        for standing in await self._store.standings():
            if standing.issuer_id == issuer_id and self._ends(standing) > self._clock.now():
                return await self._certify(standing, actor)
        raise Unknown(kind="issuing CA", name=issuer_id)

    def _ends(self, standing: ResponderStanding) -> datetime:
        return x509.load_der_x509_certificate(standing.certificate).not_valid_after_utc

    async def _certify(self, standing: ResponderStanding, actor: str = "service") -> StoredResponder | None:
        """Certify the next responder; None if somebody else has done so meanwhile.

        Its place in a token is durable before it is made: if it is not kept, it does not stay there.
        """
        number = standing.latest.number + 1 if standing.latest else 1
        now = self._clock.now()
        place = await asyncio.to_thread(self._workshop.place, standing)
        if place is not None:
            await self._store.announce(place, unclaimed_from=now + UNCLAIMED_AFTER)
            self._pause(standing.issuer_id, now)
        made = await asyncio.to_thread(self._workshop.certify, standing, number=number, now=now, place=place)
        if not await self._store.succeed(made, event=self._event(made, actor)):
            return None
        self._pauses.pop(standing.issuer_id, None)
        logger.info("issuer %s has certified OCSP responder %d", standing.issuer_id, number)
        return made

    def _event(self, made: StoredResponder, actor: str = "service") -> AuditEvent:
        certificate = x509.load_der_x509_certificate(made.certificate)
        return AuditEvent(
            kind=AuditKind.OCSP_RESPONDER_CERTIFIED,
            at=self._clock.now(),
            actor=actor,
            subject=made.issuer_id,
            detail={
                "responder": made.responder_id,
                "number": str(made.number),
                "serial": f"{made.serial_number:x}",
                "algorithm": algorithm_of(certificate.public_key()).value,
                "not_after": made.not_after.isoformat(),
                **place_of(made.token_key),
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
        if latest is None or not latest.has_key or latest.not_after <= self._clock.now():
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
