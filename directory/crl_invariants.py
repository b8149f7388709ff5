"""What must hold of the CRLs that are stored? Judges values; reads nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from ca.revocation import RevokedCertificate
from directory.crls import StoredCrl
from directory.invariants import Broken

CRL_ENDS_SOON = "crl.ends_soon"
"""A CRL in the last quarter of its time, though its successor should be there: late, but nothing is wrong."""
GRACE = timedelta(seconds=60)
"""How long after a revocation the CRL that lists it may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedCrl:
    """An issuer's latest CRL, and what it must list."""

    issuer_id: str
    crl: StoredCrl | None
    """None while the issuer has made none."""
    revoked: Sequence[RevokedCertificate]
    """The issuer's revoked certificates that have not expired."""


class CrlInvariants:
    """Judges CRLs. `issuers` are the certificates of the authority, by identifier."""

    def __init__(self, *, issuers: Mapping[str, x509.Certificate], now: datetime) -> None:
        self._issuers = issuers
        self._now = now

    def broken_in(self, inspected: InspectedCrl) -> Iterator[Broken]:
        """Yield what does not hold of an issuer's CRL."""
        listed: set[int] = set()
        if inspected.crl is not None:
            crl = _readable(inspected.crl.der)
            if crl is None:
                yield "crl.readable", "its CRL is not readable"
                return
            yield from self._broken_crl(inspected.crl, crl)
            listed = {entry.serial_number for entry in crl}
        missing = [
            one
            for one in inspected.revoked
            if one.serial_number not in listed and one.revoked_at < self._now - GRACE
        ]
        if missing:
            yield "crl.lists_revoked", f"{len(missing)} revoked certificates are not on its CRL"

    def _broken_crl(self, stored: StoredCrl, crl: x509.CertificateRevocationList) -> Iterator[Broken]:
        issuer, record = self._issuers.get(stored.issuer_id), stored.record
        # An issuer whose certificate is not readable is a finding of its own.
        if issuer is not None and not _is_signed_by(issuer, crl):
            yield "crl.signature", "its CRL is not signed by it"
        if (_number(crl), crl.last_update_utc, crl.next_update_utc) != (
            record.number,
            record.this_update,
            record.next_update,
        ):
            yield "crl.record", "its CRL is not the one on record"
        outlives = issuer is not None and issuer.not_valid_after_utc > self._now
        if outlives and record.next_update <= self._now:
            yield "crl.current", "its CRL has expired"
        elif outlives and record.next_update - self._now < (record.next_update - record.this_update) / 4:
            yield CRL_ENDS_SOON, f"its CRL ends on {record.next_update:%Y-%m-%d}, and has no successor"


def _readable(der: bytes) -> x509.CertificateRevocationList | None:
    try:
        return x509.load_der_x509_crl(der)
    except ValueError:
        return None


def _is_signed_by(issuer: x509.Certificate, crl: x509.CertificateRevocationList) -> bool:
    try:
        is_valid = crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # TypeError says the rest
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False
    return is_valid and crl.issuer == issuer.subject


def _number(crl: x509.CertificateRevocationList) -> int | None:
    try:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None
