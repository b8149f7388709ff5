"""Which certificates does an OCSP request ask about (RFC 6960 section 4.1)? Bytes in, values out.

Requests come from everybody, and are not authenticated: what is not exactly a request is refused. Whether we
answer for what is asked about is the directory's question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from pyasn1.codec.der import decoder
from pyasn1.error import PyAsn1Error
from pyasn1.type import univ
from pyasn1_alt_modules import rfc6960

from ca.errors import OcspRequestRefused
from ca.keys import PublicKey

LONGEST_REQUEST = 4096
"""In octets. One certificate takes about a hundred; the longest nonce another hundred and fifty."""
MOST_CERTIFICATES = 8
"""How many a request may ask about: each may cost a signature."""
_LONGEST_NONCE = 128
_SERIALS_END = 2**160
_NONCE = "1.3.6.1.5.5.7.48.1.2"


@unique
class IdHash(StrEnum):
    """The hash by which a CertID names an issuer (section 4.1.1)."""

    SHA_1 = "sha1"
    SHA_256 = "sha256"


_BY_OID = {"1.3.14.3.2.26": IdHash.SHA_1, "2.16.840.1.101.3.4.2.1": IdHash.SHA_256}
_BY_NAME = {one.value: one for one in IdHash}
_ALGORITHMS: dict[IdHash, hashes.HashAlgorithm] = {
    IdHash.SHA_1: hashes.SHA1(),  # noqa: S303 - what nearly every client asks by; it names, and proves nothing
    IdHash.SHA_256: hashes.SHA256(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerMark:
    """How a CertID names an issuer."""

    id_hash: IdHash
    name_hash: bytes
    key_hash: bytes

    @property
    def algorithm(self) -> hashes.HashAlgorithm:
        """The hash as cryptography's builders take it."""
        return _ALGORITHMS[self.id_hash]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateId:
    """CertID: which certificate is asked about."""

    issuer: IssuerMark
    serial_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspRequest:
    """What is asked. Who asks, and his signature, are left unread: everybody may ask."""

    certificates: tuple[CertificateId, ...]
    """At least one. One whose issuer is named by a hash that we do not know is not among them."""
    is_complete: bool
    """Whether all that is asked about is among them."""
    nonce: bytes | None


def issuer_marks(certificate: x509.Certificate, public_key: PublicKey) -> tuple[IssuerMark, ...]:
    """Return every mark that a request may name this issuer by."""
    name = certificate.subject.public_bytes()
    key = _key_bits(public_key)
    return tuple(
        IssuerMark(id_hash=which, name_hash=_digest(which, name), key_hash=_digest(which, key))
        for which in IdHash
    )


def read_ocsp_request(der: bytes) -> OcspRequest:
    """Read a request, and refuse what is not one.

    Raises:
        OcspRequestRefused: too long, not DER, of no or too many certificates, with a serial number that no
            certificate can have (RFC 5280 section 4.1.2.2), with a nonce of no or more than 128 octets (RFC
            9654 section 2.1), or with a critical extension that we do not know.
    """
    if len(der) > LONGEST_REQUEST:
        raise OcspRequestRefused("is too long")
    try:
        request = ocsp.load_der_ocsp_request(der)
    except NotImplementedError:  # which is how it says: of several certificates, or of none
        return _read_several(der)
    except ValueError as error:
        raise OcspRequestRefused("is not an OCSP request") from error
    try:
        extensions = request.extensions
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise OcspRequestRefused("has malformed extensions") from error
    for extension in extensions:
        _refuse_if_critical(extension.oid.dotted_string, is_critical=extension.critical)
    nonce = next((one.value.nonce for one in extensions if isinstance(one.value, x509.OCSPNonce)), None)
    try:
        id_hash = _BY_NAME.get(request.hash_algorithm.name)
    except UnsupportedAlgorithm:
        id_hash = None
    named = _certificate_id(id_hash, request.issuer_name_hash, request.issuer_key_hash, request.serial_number)
    return _request([named], nonce)


def _read_several(der: bytes) -> OcspRequest:
    try:
        parsed, rest = decoder.decode(der, asn1Spec=rfc6960.OCSPRequest())
    except PyAsn1Error as error:
        raise OcspRequestRefused("is not an OCSP request") from error
    asked = parsed["tbsRequest"]
    if rest or not 0 < len(asked["requestList"]) <= MOST_CERTIFICATES:
        raise OcspRequestRefused("asks about no certificate, or about too many")
    nonce: bytes | None = None
    for extension in asked["requestExtensions"]:
        oid = str(extension["extnID"])
        _refuse_if_critical(oid, is_critical=bool(extension["critical"]))
        if oid == _NONCE:
            nonce = _octets_within(bytes(extension["extnValue"]))
    return _request([_from_parsed(one["reqCert"]) for one in asked["requestList"]], nonce)


def _from_parsed(named: Any) -> CertificateId | None:
    return _certificate_id(
        _BY_OID.get(str(named["hashAlgorithm"]["algorithm"])),
        bytes(named["issuerNameHash"]),
        bytes(named["issuerKeyHash"]),
        int(named["serialNumber"]),
    )


def _octets_within(value: bytes) -> bytes:
    try:
        octets, rest = decoder.decode(value, asn1Spec=univ.OctetString())
    except PyAsn1Error as error:
        raise OcspRequestRefused("has malformed extensions") from error
    if rest:
        raise OcspRequestRefused("has malformed extensions")
    return bytes(octets)


def _certificate_id(
    id_hash: IdHash | None, name_hash: bytes, key_hash: bytes, serial_number: int
) -> CertificateId | None:
    """Return what is asked about; None where the issuer is named by a hash that we do not know."""
    if not 0 < serial_number < _SERIALS_END:
        raise OcspRequestRefused("asks about a serial number that no certificate can have")
    if id_hash is None:
        return None
    mark = IssuerMark(id_hash=id_hash, name_hash=name_hash, key_hash=key_hash)
    return CertificateId(issuer=mark, serial_number=serial_number)


def _request(named: Sequence[CertificateId | None], nonce: bytes | None) -> OcspRequest:
    if nonce is not None and not 0 < len(nonce) <= _LONGEST_NONCE:
        raise OcspRequestRefused("has a nonce of no, or of too many octets")
    known = tuple(one for one in named if one is not None)
    return OcspRequest(certificates=known, is_complete=len(known) == len(named), nonce=nonce)


def _refuse_if_critical(oid: str, *, is_critical: bool) -> None:
    # Section 4.4: what is critical and not understood must not be passed over.
    if is_critical and oid != _NONCE:
        raise OcspRequestRefused("has a critical extension that is not known here")


def _key_bits(public_key: PublicKey) -> bytes:
    """Return the value of the BIT STRING subjectPublicKey (section 4.1.1), as its algorithm encodes it."""
    if isinstance(public_key, rsa.RSAPublicKey):
        return public_key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _digest(which: IdHash, octets: bytes) -> bytes:
    digest = hashes.Hash(_ALGORITHMS[which])
    digest.update(octets)
    return digest.finalize()
