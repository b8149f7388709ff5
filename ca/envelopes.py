"""What does a CMS EnvelopedData (RFC 5652 section 6) look like from outside? To whom, by which algorithms.

Who has no private key can still tell whether an envelope is whole and addressed to a certificate. Whether it
opens, and what is inside, only the holder of the key learns.
"""

from dataclasses import dataclass
from typing import Any

from cryptography import x509
from pyasn1.codec.der import decoder, encoder
from pyasn1.error import PyAsn1Error
from pyasn1_alt_modules import rfc5652

from ca.errors import EscrowRefused

_RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
_AES256_CBC = "2.16.840.1.101.3.4.1.42"
_BLOCK_OCTETS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The outside of an envelope with one recipient."""

    issuer: bytes
    """DER of the Name of the issuer of the recipient's certificate."""
    serial: int
    key_encryption: str
    """Object identifier of the algorithm that the content's key is encrypted by."""
    encrypted_key_octets: int
    content_encryption: str
    """Object identifier of the algorithm that the content is encrypted by."""
    content_octets: int


def read_envelope(der: bytes) -> Envelope:
    """Take the outside of an envelope apart.

    Raises:
        EscrowRefused: it is not DER of an EnvelopedData with one recipient, named by issuer and serial.
    """
    try:
        info, rest = decoder.decode(der, asn1Spec=rfc5652.ContentInfo())
        if rest or info["contentType"] != rfc5652.id_envelopedData:
            raise EscrowRefused("it is not an EnvelopedData")
        enveloped, rest = decoder.decode(bytes(info["content"]), asn1Spec=rfc5652.EnvelopedData())
        recipients = enveloped["recipientInfos"]
        if rest or len(recipients) != 1:
            raise EscrowRefused("it is not an EnvelopedData with one recipient")
        return _outside(recipients[0]["ktri"], enveloped["encryptedContentInfo"])
    except (PyAsn1Error, TypeError, KeyError) as error:
        raise EscrowRefused("it is not a readable EnvelopedData") from error


def check_addressed(der: bytes, certificate: x509.Certificate) -> None:
    """Return if this is a whole envelope for the certificate's RSA key: AES-256-CBC, RSA key transport.

    Raises:
        EscrowRefused: it is not.
    """
    envelope = read_envelope(der)
    addressee = (certificate.issuer.public_bytes(), certificate.serial_number)
    if (envelope.issuer, envelope.serial) != addressee:
        raise EscrowRefused("it is addressed to another certificate")
    if (envelope.key_encryption, envelope.content_encryption) != (_RSA_ENCRYPTION, _AES256_CBC):
        raise EscrowRefused("it is encrypted by other algorithms than RSA and AES-256-CBC")
    key_octets = getattr(certificate.public_key(), "key_size", 0) // 8
    if envelope.encrypted_key_octets != key_octets:
        raise EscrowRefused("its key is not encrypted to a key of that size")
    if not envelope.content_octets or envelope.content_octets % _BLOCK_OCTETS:
        raise EscrowRefused("its content is cut off")


def _outside(recipient: Any, content: Any) -> Envelope:
    named = recipient["rid"]["issuerAndSerialNumber"]
    return Envelope(
        issuer=encoder.encode(named["issuer"]),
        serial=int(named["serialNumber"]),
        key_encryption=str(recipient["keyEncryptionAlgorithm"]["algorithm"]),
        encrypted_key_octets=len(recipient["encryptedKey"]),
        content_encryption=str(content["contentEncryptionAlgorithm"]["algorithm"]),
        content_octets=len(content["encryptedContent"]),
    )
