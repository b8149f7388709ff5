"""What must hold of the CRLs that are stored, and of what names them? Judges values; reads nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from ca.revocation import RevokedCertificate
from directory.crls import StoredCrl
from directory.invariants import Broken, readable_certificate

CRL_ENDS_SOON = "crl.ends_soon"
"""A CRL in the last quarter of its time, though its successor should be there: late, but nothing is wrong."""
GRACE = timedelta(seconds=60)
"""How long after a revocation the CRL that lists it may take."""
NO_CRL = "crl.published"
"""A partition without a CRL: late, as when no service has run since it was opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedCrl:
    """The latest CRL of an issuer, or of one of its partitions, and what it must list."""

    issuer_id: str
    partition: int | None = None
    distribution_point: str | None = None
    """The partition's URL; None of the complete CRL."""
    crl: StoredCrl | None
    """None while none was made."""
    before: StoredCrl | None = None
    """The one that it followed."""
    revoked: Sequence[RevokedCertificate]
    """The revoked certificates that have not expired and are of its scope."""

    @property
    def name(self) -> str:
        """Which one it is, in the words of a report."""
        return self.issuer_id if self.partition is None else f"{self.issuer_id}/{self.partition}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """A certificate that one of our issuers has issued, and the CRL that would list it."""

    certificate_id: str
    issuer_id: str
    is_in_partition: bool
    distribution_point: str | None
    """The URL of its partition; None: there is no such partition, or it is in none."""
    der: bytes


def names_another_crl(issued: IssuedCertificate) -> bool:
    """Whether somebody who looks where the certificate says would not find it when it is revoked."""
    if issued.is_in_partition and issued.distribution_point is None:
        return True
    certificate = readable_certificate(issued.der)
    if certificate is None:
        return False  # a finding of its own
    named = _distribution_points(certificate)
    if issued.is_in_partition:
        return named != [issued.distribution_point]
    # Where complete CRLs are published may have changed since; they say nothing of it themselves.
    return [urlsplit(url).path.rpartition("/crl/")[2] for url in named] != [f"{issued.issuer_id}.crl"]


def _distribution_points(certificate: x509.Certificate) -> list[str]:
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(name.value) for point in points for name in point.full_name or ()]


class CrlInvariants:
    """Judges CRLs. `issuers` are the certificates of the authority, by identifier."""

    def __init__(self, *, issuers: Mapping[str, x509.Certificate], now: datetime) -> None:
        self._issuers = issuers
        self._now = now

    def broken_in(self, inspected: InspectedCrl) -> Iterator[Broken]:
        """Yield what does not hold of a CRL."""
        listed: set[int] = set()
        if inspected.crl is not None:
            crl = _readable(inspected.crl.der)
            if crl is None:
                yield "crl.readable", "its CRL is not readable"
                return
            yield from self._broken_crl(inspected.crl, crl)
            yield from _broken_place(inspected, crl)
            listed = {entry.serial_number for entry in crl}
        elif inspected.partition is not None and self._is_valid(inspected.issuer_id):
            yield NO_CRL, "it has no CRL"
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
        outlives = self._is_valid(stored.issuer_id)
        if outlives and record.next_update <= self._now:
            yield "crl.current", "its CRL has expired"
        elif outlives and record.next_update - self._now < (record.next_update - record.this_update) / 4:
            yield CRL_ENDS_SOON, f"its CRL ends on {record.next_update:%Y-%m-%d}, and has no successor"

    def _is_valid(self, issuer_id: str) -> bool:
        issuer = self._issuers.get(issuer_id)
        return issuer is not None and issuer.not_valid_after_utc > self._now


def _broken_place(inspected: InspectedCrl, crl: x509.CertificateRevocationList) -> Iterator[Broken]:
    """Yield what is wrong with its scope, and with its place among the CRLs of that scope."""
    point = inspected.distribution_point
    if _scope(crl) != ([] if point is None else [(point, True)]):
        yield "crl.scope", "its CRL is about other certificates"
    before = None if inspected.before is None else _readable(inspected.before.der)
    if before is not None and (_number(before) or 0) >= (_number(crl) or 0):
        yield "crl.number_grows", "its CRL has no greater number than the one before"


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


def _scope(crl: x509.CertificateRevocationList) -> list[tuple[str, bool]]:
    """Return to which distribution points the CRL is limited, each with whether it says so critically."""
    try:
        found = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    except x509.ExtensionNotFound:
        return []
    except (x509.DuplicateExtension, ValueError):
        return [("", False)]
    return [(str(name.value), found.critical) for name in found.value.full_name or ()]
