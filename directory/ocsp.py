"""What do we answer to an OCSP request (RFC 6960, RFC 5019)?

    request ──► an issuer of ours? ──► remembered? ──► what the database says ──► signed ──► remembered

Good is said of a certificate that is in the database, signed and not revoked, and of nothing else: a serial
number that was only planned is in no committed row, and counts as never issued. That something was never
issued is never remembered, since it may be issued the next moment.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum, unique
from typing import Final, Protocol

from ca.errors import CaError, OcspRequestRefused, SignerUnavailable
from ca.ocsp import Good, NeverIssued, NotKnown, OcspResponder, Period, Refusal, Revoked, Status
from ca.ocsprequests import CertificateId, IssuerMark, OcspRequest, read_ocsp_request
from directory.clock import Clock
from directory.errors import StoreUnavailable
from directory.ocsp_memory import OcspAnswer, OcspMemory, Remembered
from directory.ocsp_responders import Seat
from directory.timekeeping import Doubt, never_doubted

logger = logging.getLogger(__name__)

_HOLDS_BRIEFLY: Final = timedelta(hours=1)
"""How long it holds that something was never issued; clocks of clients may be minutes apart from ours."""
_SIGNING_AT_ONCE: Final = 4
_SIGNING_AT_ONCE_IN_TOKEN: Final = 1
"""A token signs one after the other, and mints wait for it too."""
_MOST_WAITING: Final = 64
"""More are put off: whoever asks for made-up serial numbers must not take all the processor's time."""


@unique
class NoncePolicy(StrEnum):
    """What is done with a nonce (RFC 9654)."""

    IGNORE = "ignore"
    """Answers are the same for everybody, and come from memory (RFC 5019 section 4)."""
    ANSWER = "answer"
    """Repeat it; each such answer is signed for its request alone."""


@unique
class NeverIssuedPolicy(StrEnum):
    """What is said of a serial number that was never issued (RFC 6960 section 2.2). Good, never."""

    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspRules:
    """The operator's rules."""

    nonce: NoncePolicy = NoncePolicy.IGNORE
    never_issued: NeverIssuedPolicy = NeverIssuedPolicy.REVOKED
    validity: timedelta = timedelta(hours=24)
    """How long an answer may be relied upon; in half that time it is signed anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """What is on record of a certificate that an issuer has issued."""

    serial_number: int
    address_key: str
    """Whose it is; empty for a certificate of the authority's own."""
    status: Good | Revoked


class IssuedReader(Protocol):
    """Knows what was issued."""

    async def issued(
        self, issuer_id: str, serial_numbers: Collection[int]
    ) -> Mapping[int, IssuedCertificate]:
        """Return those of the certificates that the issuer has issued, by serial number.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...


class Seats(Protocol):
    """Knows the issuers that we answer for."""

    def seat(self, mark: IssuerMark) -> Seat | None:
        """Return the issuer that the mark names; None if it is none of ours."""
        ...


class OcspDesk:
    """Answers OCSP requests."""

    def __init__(
        self,
        *,
        reader: IssuedReader,
        seats: Seats,
        memory: OcspMemory,
        rules: OcspRules,
        clock: Clock,
        doubt: Doubt = never_doubted,
    ) -> None:
        self._reader = reader
        self._seats = seats
        self._memory = memory
        self._rules = rules
        self._clock = clock
        self._doubt = doubt
        self._signing = asyncio.Semaphore(_SIGNING_AT_ONCE)
        self._signing_in_token = asyncio.Semaphore(_SIGNING_AT_ONCE_IN_TOKEN)
        self._waiting = 0

    async def answer(self, request: bytes) -> OcspAnswer:
        """Answer a request, whatever it is: what cannot be answered is told so (RFC 6960 section 2.3)."""
        try:
            asked = read_ocsp_request(request)
        except OcspRequestRefused:
            return _MALFORMED
        seats = {self._seats.seat(one.issuer) for one in asked.certificates}
        # A responder speaks for one issuer: nobody would believe it about another's certificates.
        seat = seats.pop() if asked.is_complete and len(seats) == 1 else None
        if seat is None:
            return _UNAUTHORIZED
        nonce = asked.nonce if self._rules.nonce is NoncePolicy.ANSWER else None
        if len(asked.certificates) == 1 and nonce is None:
            remembered = self._memory.recall(asked.certificates[0], self._clock.now())
            if remembered is not None:
                return remembered
        return await self._made(asked, seat, nonce)

    async def _made(self, asked: OcspRequest, seat: Seat, nonce: bytes | None) -> OcspAnswer:
        """Make an answer, if there is somebody who signs it and it does not take too long."""
        responder = seat.responder
        if responder is None or responder.certificate.not_valid_after_utc <= self._clock.now():
            return _TRY_LATER
        if self._doubt() is not None:  # what was signed before is still answered, from memory
            return _TRY_LATER
        try:
            async with self._turn(responder) as is_granted:
                if not is_granted:
                    return _TRY_LATER
                return await self._signed(asked, seat.issuer_id, responder, nonce)
        except StoreUnavailable as error:
            logger.warning("an OCSP request is put off: %s", error.reason)
        except SignerUnavailable:
            pass  # whoever looks after the token says so, once
        except CaError as error:
            logger.error("an OCSP response could not be signed: %s", error)  # noqa: TRY400 - its text is all
        return _TRY_LATER

    @asynccontextmanager
    async def _turn(self, responder: OcspResponder) -> AsyncIterator[bool]:
        if self._waiting >= _MOST_WAITING:
            yield False
            return
        self._waiting += 1
        try:
            async with self._signing_in_token if responder.is_in_token else self._signing:
                yield True
        finally:
            self._waiting -= 1

    async def _signed(
        self, asked: OcspRequest, issuer_id: str, responder: OcspResponder, nonce: bytes | None
    ) -> OcspAnswer:
        """Answer what is not remembered.

        1. What is forgotten from here on makes untrue what is read now.
        2. All certificates are read at one moment.
        3. Each is answered; the first with the nonce. Without one, what is signed may be remembered.
        4. Several answers are joined under a signature of their own.
        """
        forgettings = self._memory.forgettings
        serial_numbers = {one.serial_number for one in asked.certificates}
        issued = await self._reader.issued(issuer_id, serial_numbers)
        first, *others = asked.certificates
        answers = [await self._one(first, issued, responder, nonce, forgettings)]
        answers += [await self._one(other, issued, responder, None, forgettings) for other in others]
        if not others:
            return answers[0]
        der = await asyncio.to_thread(responder.joined, [answer.der for answer in answers])
        return OcspAnswer(der=der) if nonce is not None else _kept(der, _shortest(answers))

    async def _one(
        self,
        asked: CertificateId,
        issued: Mapping[int, IssuedCertificate],
        responder: OcspResponder,
        nonce: bytes | None,
        forgettings: int,
    ) -> OcspAnswer:
        now = self._clock.now().replace(microsecond=0)
        record = issued.get(asked.serial_number)
        status = self._never_issued() if record is None else record.status
        validity = _HOLDS_BRIEFLY if record is None else self._rules.validity
        ends = min(now + validity, responder.certificate.not_valid_after_utc)
        if nonce is None and (signed := self._memory.signed(asked, status, now)) is not None:
            self._memory.remember(asked, signed, forgettings=forgettings)
            return signed.answer
        period = Period(this_update=now, next_update=ends)
        try:
            der = await asyncio.to_thread(responder.answer, asked, status, period, nonce)
        except SignerUnavailable:
            if (old := self._memory.still_holds(asked, status, now)) is None:
                raise
            return old
        if nonce is not None:
            return OcspAnswer(der=der)
        answer = _kept(der, period)
        if record is not None:
            remembered = Remembered(
                answer=answer,
                status=status,
                address_key=record.address_key,
                renew_at=now + (ends - now) / 2,
            )
            self._memory.remember(asked, remembered, forgettings=forgettings)
        return answer

    def _never_issued(self) -> Status:
        return NeverIssued() if self._rules.never_issued is NeverIssuedPolicy.REVOKED else NotKnown()


def _kept(der: bytes, period: Period) -> OcspAnswer:
    return OcspAnswer(der=der, period=period, tag=hashlib.sha256(der).hexdigest())


def _shortest(answers: Sequence[OcspAnswer]) -> Period:
    """Return for how long all of them may be relied upon."""
    periods = [answer.period for answer in answers if answer.period is not None]
    return Period(
        this_update=max(period.this_update for period in periods),
        next_update=min(period.next_update for period in periods),
    )


_MALFORMED: Final = OcspAnswer(der=Refusal.MALFORMED_REQUEST.der)
_UNAUTHORIZED: Final = OcspAnswer(der=Refusal.UNAUTHORIZED.der)
_TRY_LATER: Final = OcspAnswer(der=Refusal.TRY_LATER.der)
