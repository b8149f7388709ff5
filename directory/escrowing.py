"""How do keys whose hold is over come into the keeping of the recovery agents, and leave the service?

Each is sealed anew: not under the master key, which is here, but to the recovery certificate, whose key is
not. Then the held copy is erased as if it were destroyed. Without a certificate to seal to, nothing is lost
and nothing destroyed in its place: the keys stay held, and somebody is told.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509

from ca.errors import CaError, EscrowRefused
from ca.escrow import EscrowedKey, RecoveryCertificate, escrow
from ca.keys import unsafe_from_sealed_pkcs8
from ca.sealing import SealedSecret, Sealer
from directory.audit import AuditEvent, AuditKind
from directory.enrolmentsecrets import recipient_key_identity
from directory.holds import EndedHold

logger = logging.getLogger(__name__)

_BATCH = 50
"""How much one transaction does: few enough that nobody who waits for its locks notices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueEscrow:
    """A held key that is to be escrowed now."""

    enrolment_id: str
    organization_id: str
    certificate: bytes
    """DER."""
    chain: tuple[bytes, ...]
    """DER of the issuing certificate, then of its issuers up to the root."""
    sealed_key: SealedSecret
    over_since: datetime | None
    """When its hold was over; None where it is due because its enrolment has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedAway:
    """A key as it is kept from now on."""

    enrolment_id: str
    envelope: bytes
    """CMS EnvelopedData, DER."""
    recovery_certificate_id: str

    @property
    def envelope_sha256(self) -> str:
        """By what the envelope is known later, in hex."""
        return hashlib.sha256(self.envelope).hexdigest()


class EscrowEvent(Protocol):
    """Makes the record of one key's escrow."""

    def __call__(self, ended: EndedHold, sealed: SealedAway) -> AuditEvent:
        """Return what is written down in the same transaction."""
        ...


class EscrowStore(Protocol):
    """Finds held keys that are to be escrowed, and puts envelopes in their place."""

    async def active_recovery_certificate(self) -> bytes | None:
        """Return the DER of the certificate that keys are escrowed to now."""
        ...

    async def due_for_escrow(
        self, *, now: datetime, ended_before: datetime, after: DueEscrow | None, most: int
    ) -> Sequence[DueEscrow]:
        """Return keys that `HoldStore.destroy_keys` would destroy, were they not to be escrowed.

        Those whose hold is over, then those whose enrolment ended; from behind one on, and none at the end.
        """
        ...

    async def record_escrows(
        self,
        sealed: Sequence[SealedAway],
        *,
        now: datetime,
        ended_before: datetime,
        event_of: EscrowEvent,
    ) -> int:
        """Keep the envelopes and erase the held copies, in one durable transaction; return how many.

        What is due no more, another has in hand, or is sealed to a certificate that is not the active one any
        more, is left as it is.
        """
        ...


class Escrowing:
    """The chore that escrows. `grace` is how long the key of an enrolment that ended is kept held."""

    def __init__(self, *, store: EscrowStore, sealer: Sealer, grace: timedelta, most: int = _BATCH) -> None:
        self._store = store
        self._sealer = sealer
        self._grace = grace
        self._most = most
        self._seen: DueEscrow | None = None

    async def perform(self, now: datetime) -> int:
        """Escrow some; return how many, 0 if no more can be, or there is no certificate to escrow to."""
        # What cannot be escrowed stays due. It must not keep others from it: it is looked at once in a round.
        while due := await self._due(now):
            to = await self._recovery_certificate(now)
            if to is None:
                self._seen = None
                return 0
            sealed = await asyncio.to_thread(self._seal_away, due, to)
            escrowed = await self._store.record_escrows(
                sealed,
                now=now,
                ended_before=now - self._grace,
                event_of=lambda ended, away: _key_escrowed(ended, away, now),
            )
            if escrowed:
                return escrowed
        return 0

    async def _due(self, now: datetime) -> Sequence[DueEscrow]:
        due = await self._store.due_for_escrow(
            now=now, ended_before=now - self._grace, after=self._seen, most=self._most
        )
        self._seen = due[-1] if due else None
        return due

    async def _recovery_certificate(self, now: datetime) -> RecoveryCertificate | None:
        der = await self._store.active_recovery_certificate()
        if der is None:
            logger.error("keys wait to be escrowed, but no recovery certificate is active")
            return None
        certificate = RecoveryCertificate.from_der(der)
        if not certificate.is_valid_at(now):
            logger.error(
                "keys wait to be escrowed, but the recovery certificate %s is not valid now",
                certificate.fingerprint,
            )
            return None
        return certificate

    def _seal_away(self, due: Iterable[DueEscrow], to: RecoveryCertificate) -> list[SealedAway]:
        sealed = []
        for one in due:
            try:
                envelope = escrow(self._opened(one), to)
            except CaError as error:
                # It stays held, and `pushpki verify` names it; the others must not wait for it.
                logger.error("the key of %s cannot be escrowed: %s", one.enrolment_id, error)  # noqa: TRY400 - no traceback near a key
                continue
            sealed.append(
                SealedAway(
                    enrolment_id=one.enrolment_id,
                    envelope=envelope,
                    recovery_certificate_id=to.fingerprint,
                )
            )
        return sealed

    def _opened(self, one: DueEscrow) -> EscrowedKey:
        identity = recipient_key_identity(one.enrolment_id, one.organization_id)
        private_key = unsafe_from_sealed_pkcs8(self._sealer.unseal(one.sealed_key, identity))
        try:
            certificate, *chain = map(x509.load_der_x509_certificate, (one.certificate, *one.chain))
        except ValueError as error:
            raise EscrowRefused("a certificate of it is not readable") from error
        return EscrowedKey(private_key=private_key, certificate=certificate, chain=tuple(chain))


def _key_escrowed(ended: EndedHold, sealed: SealedAway, at: datetime) -> AuditEvent:
    return AuditEvent(
        kind=AuditKind.KEY_ESCROWED,
        at=at,
        actor="service",
        subject=ended.enrolment_id,
        organization_id=ended.organization_id,
        detail={
            "serial": ended.serial,
            "because": ended.because.value,
            "recovery_certificate": sealed.recovery_certificate_id,
            "envelope_sha256": sealed.envelope_sha256,
        },
    )
