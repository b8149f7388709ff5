"""Responders, and requests to them: good values to deviate from, one thing at a time."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from pyasn1.codec.der import decoder, encoder
from pyasn1_alt_modules import rfc6960

from ca.keys import KeyAlgorithm, PrivateKey, algorithm_of, generate
from ca.ocsp import OcspResponder
from ca.ocsprequests import IdHash, IssuerMark, issuer_marks
from ca.profiles import Purpose
from ca.signers import SoftwareSigner
from tests.builders import NOW, Authority, a_profile

SHA_1: hashes.HashAlgorithm = hashes.SHA1()  # noqa: S303 - what clients ask by
SHA_256: hashes.HashAlgorithm = hashes.SHA256()


def a_responder_certificate(authority: Authority, key: PrivateKey) -> x509.Certificate:
    profile = a_profile(Purpose.OCSP_RESPONDER, key_algorithm=algorithm_of(key.public_key()))
    prepared = authority.issuer.prepare_ocsp_responder(profile, key.public_key(), NOW)
    return authority.issuer.sign(authority.issuer.lint(prepared))


def a_responder(authority: Authority, algorithm: KeyAlgorithm = KeyAlgorithm.RSA_2048) -> OcspResponder:
    key = generate(algorithm)
    certificate = a_responder_certificate(authority, key)
    return OcspResponder(certificate, authority.issuer.certificate, SoftwareSigner(key))


def a_mark(authority: Authority, id_hash: IdHash = IdHash.SHA_1) -> IssuerMark:
    marks = issuer_marks(authority.issuer.certificate, authority.issuing_key.public_key())
    return next(mark for mark in marks if mark.id_hash is id_hash)


def a_request(
    mark: IssuerMark, *serials: int, nonce: bytes | None = None, extension: x509.ExtensionType | None = None
) -> bytes:
    """Return a request about certificates of one issuer."""
    singles = [_single(mark, serial, nonce, extension) for serial in serials]
    return singles[0] if len(singles) == 1 else joined(singles)


def joined(requests: Sequence[bytes]) -> bytes:
    """Return one request about all that these ask about; with the extensions of the first."""
    first, *others = [decoder.decode(one, asn1Spec=rfc6960.OCSPRequest())[0] for one in requests]
    for other in others:
        first["tbsRequest"]["requestList"].extend(other["tbsRequest"]["requestList"])
    return bytes(encoder.encode(first))


def _single(
    mark: IssuerMark, serial: int, nonce: bytes | None, extension: x509.ExtensionType | None
) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        mark.name_hash, mark.key_hash, serial, mark.algorithm
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    if extension is not None:
        builder = builder.add_extension(extension, critical=True)
    return builder.build().public_bytes(Encoding.DER)
