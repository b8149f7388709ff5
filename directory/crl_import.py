"""How does the CRL of an issuer whose key is elsewhere stay current? Asked for, signed there, brought back.

What is brought is published only if it can stand in the place of the one before: of the same issuer, with a
greater number, holding now, and listing whatever must be listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from ca.crlrequests import CrlRequest
from ca.revocation import RevokedCertificate
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.crls import CrlRecord, CrlStore, StandingIssuer, StoredCrl, next_number
from directory.errors import ConfigurationRefused, Unknown

_CLOCKS_APART: Final = timedelta(minutes=5)
_STRONG_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Brought:
    """A CRL that somebody brings, and whose it is."""

    crl: x509.CertificateRevocationList
    number: int
    this_update: datetime
    next_update: datetime
    standing: StandingIssuer


class CrlDesk:
    """An operator who carries CRLs."""

    def __init__(self, *, store: CrlStore, clock: Clock, actor: str) -> None:
        self._store = store
        self._clock = clock
        self._actor = actor

    async def request(self, issuer_id: str) -> CrlRequest:
        """Write down what the next CRL of an issuer must say.

        Raises:
            Unknown: there is no such issuer.
        """
        standing = next((one for one in await self._store.issuers() if one.issuer_id == issuer_id), None)
        if standing is None:
            raise Unknown(kind="issuer", name=issuer_id)
        now = self._clock.now()
        return CrlRequest(
            certificate=x509.load_der_x509_certificate(standing.certificate),
            number=next_number(standing.complete.latest, now),
            revoked=await self._must_list(standing, now),
        )

    async def take_in(self, file: bytes) -> StoredCrl:
        """Publish a CRL that was signed elsewhere.

        Raises:
            ConfigurationRefused: it cannot stand in the place of the one before; the key is `FILE`.
        """
        now = self._clock.now()
        brought = _judged(_readable(file), await self._store.issuers(), now)
        standing = brought.standing
        listed = {one.serial_number for one in brought.crl}
        missing = [one for one in await self._must_list(standing, now) if one.serial_number not in listed]
        if missing:
            raise _refused(f"does not list {len(missing)} certificates that are revoked", _AGAIN)
        stored = StoredCrl(
            issuer_id=standing.issuer_id,
            der=brought.crl.public_bytes(Encoding.DER),
            record=CrlRecord(
                number=brought.number,
                this_update=brought.this_update,
                next_update=brought.next_update,
                covers_from=brought.this_update,
                entries=len(listed),
                changes=standing.complete.changes,
            ),
        )
        latest = standing.complete.latest
        replaced = latest.number if latest else None
        if not await self._store.publish(stored, replaces=replaced, event=self._event(stored)):
            raise _refused("is not the successor of the one that was published this moment", _AGAIN)
        return stored

    async def _must_list(self, standing: StandingIssuer, now: datetime) -> Sequence[RevokedCertificate]:
        pages = self._store.revoked(standing.issuer_id, None, now)
        return [one async for page in pages for one in page]

    def _event(self, stored: StoredCrl) -> AuditEvent:
        return AuditEvent(
            kind=AuditKind.CRL_IMPORTED,
            at=self._clock.now(),
            actor=self._actor,
            subject=stored.issuer_id,
            detail={
                "number": str(stored.record.number),
                "entries": str(stored.record.entries),
                "next_update": stored.record.next_update.isoformat(),
            },
        )


_AGAIN = "ask for it anew with pushpki ca crl request"


def _readable(file: bytes) -> x509.CertificateRevocationList:
    try:
        if b"-----BEGIN" in file:
            return x509.load_pem_x509_crl(file)
        return x509.load_der_x509_crl(file)
    except _UNREADABLE as error:
        raise _refused("is no CRL, neither PEM nor DER") from error


def _judged(
    crl: x509.CertificateRevocationList, standings: Sequence[StandingIssuer], now: datetime
) -> _Brought:
    """Hold a CRL to whatever is true of one that may be published."""
    standing = _issuer_of(crl, standings)
    try:
        extensions, next_update = crl.extensions, crl.next_update_utc
        strong = isinstance(crl.signature_hash_algorithm, _STRONG_HASHES)
        number = extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound as error:
        raise _refused("has no number") from error
    except _UNREADABLE as error:
        raise _refused("is no CRL, neither PEM nor DER") from error
    latest = standing.complete.latest
    if any(one.critical for one in extensions):
        raise _refused("is not complete: it is a delta, or says that it lists a part")
    if not strong:
        raise _refused("is signed over a hash that is not SHA-2")
    if next_update is None or next_update <= now:
        raise _refused("has expired")
    if crl.last_update_utc > now + _CLOCKS_APART:
        raise _refused("begins in the future", "see to the clock of the machine that signed it")
    if latest is not None and number <= latest.number:
        raise _refused(f"has number {number}, which is not greater than {latest.number}", _AGAIN)
    return _Brought(
        crl=crl, number=number, this_update=crl.last_update_utc, next_update=next_update, standing=standing
    )


def _issuer_of(crl: x509.CertificateRevocationList, standings: Sequence[StandingIssuer]) -> StandingIssuer:
    named = [
        (standing, certificate)
        for standing in standings
        if (certificate := x509.load_der_x509_certificate(standing.certificate)).subject == crl.issuer
    ]
    if not named:
        raise _refused("is of an issuer that is not here")
    for standing, certificate in named:
        if not _is_signed_by(crl, certificate):
            continue
        if standing.sealed_key is not None or standing.token_key is not None:
            raise _refused("is of an issuer whose key is here", "it makes its own: pushpki ca crl issue")
        return standing
    raise _refused("is not signed by the issuer that it names")


def _is_signed_by(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(certificate.public_key())  # type: ignore[arg-type]  # TypeError says the rest
    except (TypeError, *_UNREADABLE):
        return False


def _refused(reason: str, remedy: str = "") -> ConfigurationRefused:
    return ConfigurationRefused(key="FILE", reason=f"the CRL {reason}", remedy=remedy)
