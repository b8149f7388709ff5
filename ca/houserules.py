"""Which of our own rules does a certificate break, that no public linter knows?

A linter says whether a certificate is a good one; these say whether it is one of *ours*: a certificate that
may sign although its profile is for encryption, or that claims a CA/B policy, is flawless to a linter.
"""

from collections.abc import Iterator
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from ca.address import Mailbox
from ca.constraints import permits
from ca.errors import AddressRefused, KeyRefused
from ca.keyquality import check_quality
from ca.keys import algorithm_of
from ca.mailnames import mailbox_of, mailboxes_of
from ca.profiles import (
    DOMAIN_AUTHORITY,
    LONGEST_VALIDITY,
    SMIME_CAPABILITIES,
    Purpose,
    basic_constraints,
    extended_key_usage,
    is_private_policy,
    key_usage,
)

_SHORTEST_SERIAL_BITS = 65
"""CA/B S/MIME BR 7.1 asks for 64 random bits. Ours have 159: one in 2^94 is so short by chance."""

_CRITICAL = frozenset({ExtensionOID.KEY_USAGE, ExtensionOID.BASIC_CONSTRAINTS})
_OF_RECIPIENTS = _CRITICAL | {
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.CERTIFICATE_POLICIES,
    SMIME_CAPABILITIES.oid,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
}

_Value = TypeVar("_Value", bound=x509.ExtensionType)


def broken_by(certificate: x509.Certificate, purpose: Purpose) -> Iterator[str]:
    """Name the rules that the certificate, taken by itself, breaks for its purpose."""
    extensions = certificate.extensions
    try:
        algorithm = algorithm_of(check_quality(certificate.public_key()))
    except KeyRefused:
        yield "pushpki.key_not_accepted"
    else:
        if _value(extensions, x509.KeyUsage) != key_usage(purpose, algorithm):
            yield "pushpki.key_usage_not_of_the_purpose"
    if _value(extensions, x509.ExtendedKeyUsage) != extended_key_usage(purpose):
        yield "pushpki.extended_key_usage_not_of_the_purpose"
    if _value(extensions, x509.BasicConstraints) != basic_constraints(purpose):
        yield "pushpki.basic_constraints_not_of_the_purpose"
    if certificate.not_valid_after_utc - certificate.not_valid_before_utc >= LONGEST_VALIDITY[purpose]:
        yield "pushpki.validity_too_long"
    if (_value(extensions, x509.OCSPNoCheck) is not None) is not (purpose is Purpose.OCSP_RESPONDER):
        yield "pushpki.ocsp_no_check_not_of_the_purpose"
    if certificate.serial_number.bit_length() < _SHORTEST_SERIAL_BITS:
        yield "pushpki.serial_too_short"
    if purpose.is_recipient:
        yield from _broken_by_recipient(certificate, purpose)


def _broken_by_recipient(certificate: x509.Certificate, purpose: Purpose) -> Iterator[str]:
    # Who is named by nothing else has a critical subjectAltName (RFC 5280 section 4.2.1.6).
    nameless = {ExtensionOID.SUBJECT_ALTERNATIVE_NAME} if not list(certificate.subject) else set()
    critical = _CRITICAL | nameless
    for known in certificate.extensions:
        if known.oid not in _OF_RECIPIENTS:
            yield "pushpki.extension_not_of_the_purpose"
        elif known.critical is not (known.oid in critical):
            yield "pushpki.criticality_not_of_the_purpose"
        elif known.oid == SMIME_CAPABILITIES.oid and known.value != SMIME_CAPABILITIES:
            yield "pushpki.capabilities_not_of_the_purpose"
    if not _has_one_whole_crl(certificate.extensions):
        yield "pushpki.crl_not_one_whole"
    if not _has_one_private_policy(certificate.extensions):
        yield "pushpki.policy_not_one_private"
    if not _names_one_mailbox(certificate):
        yield "pushpki.subject_not_the_mailbox"
    elif _names_a_domain_authority(certificate) is not (purpose is Purpose.DOMAIN):
        yield "pushpki.domain_authority_not_of_the_purpose"


def broken_between(certificate: x509.Certificate, issuer: x509.Certificate) -> Iterator[str]:
    """Name the rules that the certificate breaks as one of this issuer's (RFC 5280 section 6.1.3).

    A self-signed certificate is its own issuer.
    """
    if certificate.issuer != issuer.subject:
        yield "pushpki.issuer_name_not_the_issuers"
    authority = _value(certificate.extensions, x509.AuthorityKeyIdentifier)
    subject = _value(issuer.extensions, x509.SubjectKeyIdentifier)
    if authority is None or subject is None or authority.key_identifier != subject.digest:
        yield "pushpki.authority_key_identifier_not_the_issuers"
    if not _is_permitted(certificate, issuer):
        yield "pushpki.address_not_permitted_to_the_issuer"
    if certificate.not_valid_before_utc < issuer.not_valid_before_utc:
        yield "pushpki.begins_before_the_issuer"
    if certificate.not_valid_after_utc > issuer.not_valid_after_utc:
        yield "pushpki.outlives_the_issuer"


def _is_permitted(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's name constraints hold every mail address of the certificate."""
    alternatives = _value(certificate.extensions, x509.SubjectAlternativeName)
    if alternatives is None:
        return True
    try:
        return all(permits(issuer, mailbox) for mailbox in mailboxes_of(alternatives))
    except AddressRefused:
        return False


def _value(extensions: x509.Extensions, kind: type[_Value]) -> _Value | None:
    return next((known.value for known in extensions if isinstance(known.value, kind)), None)


def _has_one_private_policy(extensions: x509.Extensions) -> bool:
    policies = _value(extensions, x509.CertificatePolicies)
    return (
        policies is not None
        and len(list(policies)) == 1
        and is_private_policy(next(iter(policies)).policy_identifier)
    )


def _has_one_whole_crl(extensions: x509.Extensions) -> bool:
    """Whether one CRL, of the issuer's own, says of every reason whether the certificate is revoked."""
    points = _value(extensions, x509.CRLDistributionPoints)
    return (
        points is not None
        and len(points) == 1
        and points[0].full_name is not None
        and points[0].reasons is None
        and points[0].crl_issuer is None
    )


def _names_a_domain_authority(certificate: x509.Certificate) -> bool:
    addresses = certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
    return any(str(one.value).lower().startswith(f"{DOMAIN_AUTHORITY}@") for one in addresses)


def _names_one_mailbox(certificate: x509.Certificate) -> bool:
    """Whether SAN, emailAddress and CN hold one and the same address, each of them if it can (RFC 9598)."""
    alternatives = _value(certificate.extensions, x509.SubjectAlternativeName)
    if alternatives is None:
        return False
    names, attributes = list(alternatives), list(certificate.subject)
    named = {attribute.oid: attribute.value for attribute in attributes}
    if len(names) != 1 or len(attributes) != len(named):
        return False
    match names[0]:
        case x509.RFC822Name(value=address):
            due = {NameOID.EMAIL_ADDRESS: address}
        case x509.OtherName() as other if (mailbox := _international(other)) is not None:
            address, due = str(mailbox), {}
        case _:
            return False
    if NameOID.COMMON_NAME in named:
        due[NameOID.COMMON_NAME] = address
    return named == due


def _international(name: x509.OtherName) -> Mailbox | None:
    try:
        return mailbox_of(name)
    except AddressRefused:
        return None
