"""Which of the authority's own certificates does an RFC 4387 attribute mean?

Whoever builds a chain finds the next issuer by these. They do not reach recipients' certificates: `iHash`
alone would list the whole directory, and the others would confirm what somebody guesses.
"""

import hashlib
from collections.abc import Iterable

from cryptography import x509
from cryptography.x509.oid import NameOID

from directory.http.certificate_query import IssuerAttribute, IssuerQuery

_INTEGER = 0x02
_SEQUENCE = 0x30
_SHORT_FORM = 0x80


def matching(query: IssuerQuery, certificates: Iterable[bytes]) -> list[bytes]:
    """Return the certificates, DER, that have what the query asks for."""
    return [der for der in certificates if query.value in _values(query.attribute, der)]


def _values(attribute: IssuerAttribute, der: bytes) -> list[bytes]:
    """Return the certificate's values of the attribute, RFC 4387 section 2.1 and 2.2."""
    certificate = x509.load_der_x509_certificate(der)
    match attribute:
        case IssuerAttribute.CERTIFICATE_HASH:
            return [_sha1(der)]
        case IssuerAttribute.ISSUER_HASH:
            return [_sha1(certificate.issuer.public_bytes())]
        case IssuerAttribute.SUBJECT_HASH:
            return [_sha1(certificate.subject.public_bytes())]
        case IssuerAttribute.ISSUER_AND_SERIAL_HASH:
            return [_sha1(_issuer_and_serial(certificate))]
        case IssuerAttribute.SUBJECT_KEY_IDENTIFIER_HASH:
            found = [
                extension.value
                for extension in certificate.extensions
                if isinstance(extension.value, x509.SubjectKeyIdentifier)
            ]
            return [_sha1(identifier.digest) for identifier in found]
        case IssuerAttribute.NAME:
            names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            return [str(name.value).encode() for name in names]


def _sha1(octets: bytes) -> bytes:
    # A name for finding things, as the RFC wants it; nothing is trusted because of it.
    return hashlib.sha1(octets, usedforsecurity=False).digest()


def _issuer_and_serial(certificate: x509.Certificate) -> bytes:
    """Return the DER of IssuerAndSerialNumber, RFC 5652 section 10.2.4."""
    serial = certificate.serial_number
    # One bit more than the number has, for the sign (X.690 section 8.3).
    number = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    return _der(_SEQUENCE, certificate.issuer.public_bytes() + _der(_INTEGER, number))


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < _SHORT_FORM:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, _SHORT_FORM | len(octets)]) + octets + content
