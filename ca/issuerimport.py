"""May a certificate that was signed elsewhere make our key an issuing CA? Path validation, strictly.

Whoever signed it may be our root, off line, or somebody else's CA. What is checked is what everybody's
software will check of each recipient's certificate below it (RFC 5280 section 6.1), and what it takes to be
of use here.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum, unique

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from ca.constraints import name_constraints_of
from ca.errors import IssuerRefused, KeyRefused
from ca.keyquality import check_quality
from ca.keys import algorithm_of, same_key

_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_STRONG_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_MAIL = {ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
_UNDERSTOOD = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.NAME_CONSTRAINTS,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.ISSUER_ALTERNATIVE_NAME,
}
_LONGEST_CHAIN = 8


@unique
class ImportFlaw(StrEnum):
    """What is wrong: the closed set of `IssuerRefused.code`."""

    UNREADABLE = "issuer.unreadable"
    NOT_YET_VALID = "issuer.not_yet_valid"
    EXPIRED = "issuer.expired"
    KEY_MISMATCH = "issuer.key_mismatch"
    NOT_A_CA = "issuer.not_a_ca"
    KEY_USAGE = "issuer.key_usage"
    EXTENDED_KEY_USAGE = "issuer.extended_key_usage"
    PATH_LENGTH = "issuer.path_length"
    WEAK_KEY = "issuer.weak_key"
    WEAK_SIGNATURE = "issuer.weak_signature"
    KEY_IDENTIFIER = "issuer.key_identifier"
    CRITICAL_EXTENSION = "issuer.critical_extension"
    NAME_CONSTRAINTS = "issuer.name_constraints"
    SIGNATURE = "issuer.signature"
    INCOMPLETE = "issuer.incomplete_chain"
    OUTLIVES = "issuer.outlives_its_issuer"
    UNTRUSTED = "issuer.untrusted"
    NAME_TAKEN = "issuer.name_taken"
    OTHER_NAME = "issuer.other_name"
    OTHER_IDENTIFIER = "issuer.other_identifier"
    SELF_ISSUED = "issuer.self_issued"


_REASONS = {
    ImportFlaw.UNREADABLE: "is no X.509 certificate, neither PEM nor DER, or is corrupt",
    ImportFlaw.NOT_YET_VALID: "is not yet valid",
    ImportFlaw.EXPIRED: "has expired",
    ImportFlaw.KEY_MISMATCH: "is for another key than the one that waits for it, or is here",
    ImportFlaw.NOT_A_CA: "is not that of a CA (basicConstraints)",
    ImportFlaw.KEY_USAGE: "does not let its key sign certificates and CRLs (keyUsage)",
    ImportFlaw.EXTENDED_KEY_USAGE: "is not for mail (extKeyUsage without emailProtection)",
    ImportFlaw.PATH_LENGTH: "does not allow for so many CAs below it (pathLenConstraint)",
    ImportFlaw.WEAK_KEY: "has a key that is too weak, or of a kind that is not used",
    ImportFlaw.WEAK_SIGNATURE: "is signed over a hash that is not SHA-2",
    ImportFlaw.KEY_IDENTIFIER: "has no subjectKeyIdentifier",
    ImportFlaw.CRITICAL_EXTENSION: "has a critical extension that is not understood",
    ImportFlaw.NAME_CONSTRAINTS: "constrains other names than mail addresses, hosts, URIs and IP addresses",
    ImportFlaw.SIGNATURE: "is not signed by the CA that it names",
    ImportFlaw.INCOMPLETE: "names a CA whose certificate is not at hand",
    ImportFlaw.OUTLIVES: "ends after that of the CA that signed it",
    ImportFlaw.NAME_TAKEN: "names a CA as another one is named here",
    ImportFlaw.OTHER_NAME: "does not name the CA as it is named here",
    ImportFlaw.OTHER_IDENTIFIER: "has another subjectKeyIdentifier than the one that leads to this CA",
    ImportFlaw.SELF_ISSUED: "names its own subject as its issuer: no other CA has signed it",
    ImportFlaw.UNTRUSTED: "leads to a root that nobody has said to be trusted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What is brought, and what is known here already."""

    certificate: x509.Certificate
    key: CertificatePublicKeyTypes
    """The key that waits for it, or that it certifies once more."""
    others: Sequence[x509.Certificate]
    """CAs that may be above it: those brought with it, and those that are here."""
    trusted: Collection[bytes]
    """SHA-256 of the roots that it may lead to."""
    cas_below: int = 0
    """How many CAs there may be between it and a recipient's certificate."""


def read_certificates(file: bytes) -> list[x509.Certificate]:
    """Read certificates, several in PEM or one in DER.

    Raises:
        IssuerRefused: one of them is not readable.
    """
    try:
        if b"-----BEGIN" in file:
            found = x509.load_pem_x509_certificates(file)
        else:
            found = [x509.load_der_x509_certificate(file)]
        for one in found:
            _ = one.extensions, one.public_key(), one.signature_hash_algorithm
    except _UNREADABLE as error:
        raise refused(ImportFlaw.UNREADABLE) from error
    return found


def chain_above(brought: Import, now: datetime) -> tuple[x509.Certificate, ...]:
    """Return the CAs above the certificate, its own issuer first and the root last, if it may be used here.

    Raises:
        IssuerRefused: with a code of `ImportFlaw`.
    """
    certificate = brought.certificate
    if not same_key(certificate.public_key(), brought.key):
        raise refused(ImportFlaw.KEY_MISMATCH, certificate)
    _check_ca(certificate, now, cas_below=brought.cas_below)
    _check_own_key(certificate)
    chain = _path(certificate, brought)
    for below, (lower, upper) in enumerate(
        zip((certificate, *chain), chain, strict=False), start=brought.cas_below + 1
    ):
        _check_ca(upper, now, cas_below=below)
        if not isinstance(lower.signature_hash_algorithm, _STRONG_HASHES):
            raise refused(ImportFlaw.WEAK_SIGNATURE, lower)
        if lower.not_valid_after_utc > upper.not_valid_after_utc:
            raise refused(ImportFlaw.OUTLIVES, lower)
    return chain


def cross_chain_above(
    brought: Import, certified: x509.Certificate, now: datetime
) -> tuple[x509.Certificate, ...]:
    """Return the CAs above a further certificate of a CA that has one, likewise.

    `certified` is that one. Whoever finds a path from a certificate below takes either for the other: so both
    have the same name, key and key identifier (RFC 5280 sections 4.1.2.4 and 4.2.1.1).

    Raises:
        IssuerRefused: with a code of `ImportFlaw`.
    """
    certificate = brought.certificate
    if certificate.subject.public_bytes() != certified.subject.public_bytes():
        raise refused(ImportFlaw.OTHER_NAME, certificate)
    if certificate.issuer == certificate.subject:
        raise refused(ImportFlaw.SELF_ISSUED, certificate)
    # No way up leads through another certificate of the same CA: it would vouch for itself.
    others = [one for one in brought.others if one.subject != certificate.subject]
    chain = chain_above(replace(brought, others=others), now)
    if _key_identifier(certificate) != _key_identifier(certified):
        raise refused(ImportFlaw.OTHER_IDENTIFIER, certificate)
    return chain


def require_ca(certificate: x509.Certificate, now: datetime) -> None:
    """Return if the certificate is that of a CA which may certify recipients now, whoever signed it.

    Raises:
        IssuerRefused: with a code of `ImportFlaw`.
    """
    try:
        _check_ca(certificate, now, cas_below=0)
    except _UNREADABLE as error:
        raise refused(ImportFlaw.UNREADABLE) from error


def fingerprint(certificate: x509.Certificate) -> bytes:
    """Return what a certificate, such as a root's, is known by: its SHA-256."""
    return certificate.fingerprint(hashes.SHA256())


def _path(certificate: x509.Certificate, brought: Import) -> tuple[x509.Certificate, ...]:
    """Find the way to a trusted root; of several the first. Else tell why there is none."""
    problem = refused(ImportFlaw.INCOMPLETE, certificate)
    for path in _paths((certificate,), brought.others):
        last = path[-1]
        if not isinstance(last, x509.Certificate):
            problem = last if problem.code == ImportFlaw.INCOMPLETE else problem
        elif fingerprint(last) in brought.trusted:
            return tuple(one for one in path[1:] if isinstance(one, x509.Certificate))
        else:
            problem = refused(ImportFlaw.UNTRUSTED, last, f", SHA-256 {fingerprint(last).hex()}")
    raise problem


def _paths(
    so_far: tuple[x509.Certificate, ...], others: Sequence[x509.Certificate]
) -> Iterator[tuple[x509.Certificate | IssuerRefused, ...]]:
    """Yield every way up; one that ends without a root ends with the reason."""
    last = so_far[-1]
    if len(so_far) > 1 and last.issuer == last.subject:
        flaw = None if _is_signed_by(last, last) else ImportFlaw.SIGNATURE
        yield so_far if flaw is None else (*so_far, refused(flaw, last))
        return
    above = [one for one in others if one.subject == last.issuer and one not in so_far]
    signers = [one for one in above if _is_signed_by(last, one)]
    if not signers or len(so_far) > _LONGEST_CHAIN:
        yield (*so_far, refused(ImportFlaw.SIGNATURE if above else ImportFlaw.INCOMPLETE, last))
    for signer in signers:
        yield from _paths((*so_far, signer), others)


def _is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _check_ca(certificate: x509.Certificate, now: datetime, *, cas_below: int) -> None:
    """Hold a CA's certificate to what it needs, with so many CAs between it and a recipient's."""
    checks: Sequence[tuple[ImportFlaw, Callable[[], bool]]] = (
        (ImportFlaw.NOT_YET_VALID, lambda: certificate.not_valid_before_utc <= now),
        (ImportFlaw.EXPIRED, lambda: now < certificate.not_valid_after_utc),
        (ImportFlaw.NOT_A_CA, lambda: _constraints(certificate).ca),
        (ImportFlaw.PATH_LENGTH, lambda: _has_room(certificate, cas_below)),
        (ImportFlaw.KEY_USAGE, lambda: _may_sign(certificate)),
        (ImportFlaw.EXTENDED_KEY_USAGE, lambda: _is_for_mail(certificate)),
        (ImportFlaw.WEAK_KEY, lambda: _is_strong(certificate)),
        (ImportFlaw.KEY_IDENTIFIER, lambda: _has(certificate, ExtensionOID.SUBJECT_KEY_IDENTIFIER)),
        (ImportFlaw.CRITICAL_EXTENSION, lambda: _is_understood(certificate)),
        (ImportFlaw.NAME_CONSTRAINTS, lambda: _constrains_what_we_know(certificate)),
    )
    for flaw, holds in checks:
        if not holds():
            raise refused(flaw, certificate)


def _check_own_key(certificate: x509.Certificate) -> None:
    try:
        algorithm_of(certificate.public_key())
    except KeyRefused as error:
        raise refused(ImportFlaw.WEAK_KEY, certificate) from error


def _constraints(certificate: x509.Certificate) -> x509.BasicConstraints:
    if not _has(certificate, ExtensionOID.BASIC_CONSTRAINTS):
        return x509.BasicConstraints(ca=False, path_length=None)
    return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value


def _has_room(certificate: x509.Certificate, cas_below: int) -> bool:
    length = _constraints(certificate).path_length
    return length is None or length >= cas_below


def _may_sign(certificate: x509.Certificate) -> bool:
    if not _has(certificate, ExtensionOID.KEY_USAGE):
        return False
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    return usage.key_cert_sign and usage.crl_sign


def _is_for_mail(certificate: x509.Certificate) -> bool:
    if not _has(certificate, ExtensionOID.EXTENDED_KEY_USAGE):
        return True
    return bool(_MAIL & set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value))


def _is_strong(certificate: x509.Certificate) -> bool:
    try:
        check_quality(certificate.public_key())
    except KeyRefused:
        return False
    return True


def _is_understood(certificate: x509.Certificate) -> bool:
    return all(one.oid in _UNDERSTOOD for one in certificate.extensions if one.critical)


def _constrains_what_we_know(certificate: x509.Certificate) -> bool:
    # A recipient's subject is his address and nothing else: no directory name that is permitted holds it.
    constraints = name_constraints_of(certificate)
    return constraints is None or not any(
        isinstance(one, x509.DirectoryName | x509.OtherName | x509.RegisteredID)
        for one in (*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ()))
    )


def _key_identifier(certificate: x509.Certificate) -> bytes:
    return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def _has(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bool:
    return any(one.oid == oid for one in certificate.extensions)


def refused(flaw: ImportFlaw, certificate: x509.Certificate | None = None, more: str = "") -> IssuerRefused:
    """Return the refusal of a certificate."""
    whose = "" if certificate is None else f" of {certificate.subject.rfc4514_string()!r}"
    return IssuerRefused(code=flaw.value, reason=f"the certificate{whose} {_REASONS[flaw]}{more}")
