"""What does the authority say about one certificate, at this moment? OCSP responses (RFC 6960 section 4.2).

They are signed by a delegated responder, whose certificate the issuing CA has signed for nothing else: so the
CA's own key can be in a token, and is not used by whoever asks. Which status a certificate has is the
directory's question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, unique
from typing import Any, Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyasn1.codec.der import decoder, encoder
from pyasn1.type import univ
from pyasn1_alt_modules import rfc6960

from ca.errors import KeyRefused, ProfileRefused
from ca.keys import same_key
from ca.ocsprequests import CertificateId
from ca.pkcs11 import TokenSigner
from ca.revocation import RevocationReason
from ca.signers import Signer
from ca.signing import SIGNATURE_HASH, require_signature, signature_over

_EXTENDED_REVOKE: Final = x509.UnrecognizedExtension(
    x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.9"),
    b"\x05\x00",  # NULL
)
"""Says that "revoked" may mean "never issued" in here (section 4.4.8)."""
_WHAT: Final = "response"
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """Issued, and not revoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """Issued, and revoked."""

    at: datetime
    reason: RevocationReason


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverIssued:
    """Not issued: told as revoked since 1970, on hold (section 2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotKnown:
    """Not issued: told as unknown, so that the client asks elsewhere."""


Status: TypeAlias = Good | Revoked | NeverIssued | NotKnown
"""What a response can say of a certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From when, and until when, a response may be relied upon."""

    this_update: datetime
    next_update: datetime


@unique
class Refusal(Enum):
    """A response that says nothing of any certificate, and is not signed (section 2.3)."""

    MALFORMED_REQUEST = ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    TRY_LATER = ocsp.OCSPResponseStatus.TRY_LATER
    UNAUTHORIZED = ocsp.OCSPResponseStatus.UNAUTHORIZED
    """We do not answer for this issuer."""

    @property
    def der(self) -> bytes:
        """The whole response."""
        return _REFUSALS[self]


_REFUSALS = {
    refusal: ocsp.OCSPResponseBuilder.build_unsuccessful(refusal.value).public_bytes(Encoding.DER)
    for refusal in Refusal
}


class OcspResponder:
    """A delegated responder's key, and its certificate for one issuer. Safe to share among threads.

    Raises:
        KeyRefused: the signer's key is not the certificate's.
        ProfileRefused: the certificate is not a responder's, or not of this issuer.
    """

    def __init__(self, certificate: x509.Certificate, issuer: x509.Certificate, signer: Signer) -> None:
        if not same_key(signer.public_key, certificate.public_key()):
            raise KeyRefused("the signer's key does not belong to the responder's certificate")
        _require_delegated(certificate, issuer)
        self._certificate = certificate
        self._signer = signer

    def __repr__(self) -> str:
        return f"<OcspResponder {self._certificate.subject.rfc4514_string()}>"

    @property
    def certificate(self) -> x509.Certificate:
        """The responder's own certificate."""
        return self._certificate

    @property
    def is_in_token(self) -> bool:
        """Whether its key is in a token, which signs one after the other."""
        return isinstance(self._signer, TokenSigner)

    def answer(
        self, certificate_id: CertificateId, status: Status, period: Period, nonce: bytes | None = None
    ) -> bytes:
        """Sign a response about one certificate; a millisecond of CPU, without holding the interpreter lock.

        producedAt is the moment of the signature, which cryptography reads from the machine's clock itself.

        Raises:
            SigningRefused: the signature that came back does not verify.
        """
        mark = certificate_id.issuer
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            mark.name_hash,
            mark.key_hash,
            certificate_id.serial_number,
            mark.algorithm,
            *_said(status, period),
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self._certificate)
        builder = builder.certificates([self._certificate])
        if isinstance(status, NeverIssued):
            builder = builder.add_extension(_EXTENDED_REVOKE, critical=False)
        if nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        response = builder.sign(self._signer.signing_key, SIGNATURE_HASH)
        require_signature(self._signer.public_key, response.signature, response.tbs_response_bytes, _WHAT)
        return response.public_bytes(Encoding.DER)

    def joined(self, answers: Sequence[bytes]) -> bytes:
        """Sign one response that says what several of our own say; it has a nonce if the first has one.

        cryptography writes responses about one certificate alone. So each part is its work, and only the list
        is put together here.

        Raises:
            SigningRefused: the signature that came back does not verify.
        """
        joined, *others = [_basic_response(answer) for answer in answers]
        data = joined["tbsResponseData"]
        present = {str(one["extnID"]) for one in data["responseExtensions"]}
        for other in others:
            data["responses"].extend(other["tbsResponseData"]["responses"])
            for extension in other["tbsResponseData"]["responseExtensions"]:
                if str(extension["extnID"]) not in present:
                    present.add(str(extension["extnID"]))
                    data["responseExtensions"].append(extension)
        to_be_signed = encoder.encode(data)
        signature = signature_over(to_be_signed, self._signer)
        require_signature(self._signer.public_key, signature, to_be_signed, _WHAT)
        joined["signature"] = univ.BitString.fromOctetString(signature)
        response = rfc6960.OCSPResponse()
        response["responseStatus"] = "successful"
        response["responseBytes"]["responseType"] = rfc6960.id_pkix_ocsp_basic
        response["responseBytes"]["response"] = encoder.encode(joined)
        return bytes(encoder.encode(response))


def _said(
    status: Status, period: Period
) -> tuple[ocsp.OCSPCertStatus, datetime, datetime, datetime | None, x509.ReasonFlags | None]:
    this_update = period.this_update.replace(microsecond=0)
    next_update = period.next_update.replace(microsecond=0)
    match status:
        case Good():
            return ocsp.OCSPCertStatus.GOOD, this_update, next_update, None, None
        case NotKnown():
            return ocsp.OCSPCertStatus.UNKNOWN, this_update, next_update, None, None
        case NeverIssued():
            hold = x509.ReasonFlags.certificate_hold
            return ocsp.OCSPCertStatus.REVOKED, this_update, next_update, _NEVER, hold
        case Revoked(at=at, reason=reason):
            # A node whose clock is ahead may have revoked it a moment from now.
            since = min(at, period.this_update).replace(microsecond=0)
            flag = None if reason is RevocationReason.UNSPECIFIED else x509.ReasonFlags(reason.value)
            return ocsp.OCSPCertStatus.REVOKED, this_update, next_update, since, flag


def _basic_response(der: bytes) -> Any:
    response, _ = decoder.decode(der, asn1Spec=rfc6960.OCSPResponse())
    basic, _ = decoder.decode(
        bytes(response["responseBytes"]["response"]), asn1Spec=rfc6960.BasicOCSPResponse()
    )
    return basic


def _require_delegated(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """Hold a certificate to what clients ask of a delegated responder's (section 4.2.2.2)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        certificate.verify_directly_issued_by(issuer)
    except x509.ExtensionNotFound as error:
        raise ProfileRefused("responder", "may not sign OCSP responses") from error
    except (ValueError, TypeError, InvalidSignature) as error:
        raise ProfileRefused("responder", "was not certified by this issuer") from error
    if ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
        raise ProfileRefused("responder", "may not sign OCSP responses")
