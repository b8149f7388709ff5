"""What the outside of an envelope tells: to whom it is, and whether it is whole; of any octets at all."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7EnvelopeBuilder, PKCS7Options
from cryptography.x509.name import _ASN1Type
from hypothesis import given, settings
from hypothesis import strategies as st

from ca.envelopes import check_addressed, read_envelope
from ca.errors import EscrowRefused
from ca.escrow import RecoveryCertificate
from tests.builders import NOW
from tests.recoverykeys import a_recovery_key


def enveloped(certificate: x509.Certificate, content: bytes = b"key") -> bytes:
    builder = PKCS7EnvelopeBuilder().set_data(content).add_recipient(certificate)
    builder = builder.set_content_encryption_algorithm(AES256)
    return builder.encrypt(Encoding.DER, [PKCS7Options.Binary])


def test_an_envelope_says_to_whom_and_how() -> None:
    certificate, _ = a_recovery_key()

    envelope = read_envelope(enveloped(certificate, bytes(100)))

    assert (envelope.issuer, envelope.serial) == (
        certificate.issuer.public_bytes(),
        certificate.serial_number,
    )
    assert (envelope.encrypted_key_octets, envelope.content_octets) == (512, 112)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_was_altered_is_whole_or_refused(data: st.DataObject) -> None:
    certificate, _ = a_recovery_key()
    octets = bytearray(enveloped(certificate))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(octets) - 1))
        octets[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        check_addressed(bytes(octets), certificate)
    except EscrowRefused:
        return
    assert read_envelope(bytes(octets)).content_octets % 16 == 0


@given(st.binary(max_size=200))
def test_any_octets_are_an_envelope_or_refused(octets: bytes) -> None:
    with pytest.raises(EscrowRefused):
        read_envelope(octets)


@pytest.mark.parametrize("text_type", [_ASN1Type.UTF8String, _ASN1Type.PrintableString, _ASN1Type.BMPString])
def test_a_certificate_of_somebody_elses_ca_is_recognised_however_its_name_is_written(
    text_type: _ASN1Type,
) -> None:
    own, _ = a_recovery_key()
    issuer = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Elsewhere", text_type),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, "Elsewhere CA", text_type),
        ]
    )
    builder = x509.CertificateBuilder(
        issuer, own.subject, own.public_key(), 2**159 - 1, NOW, NOW + timedelta(days=1)
    )
    certificate = builder.sign(generate_private_key(SECP256R1()), hashes.SHA256())

    check_addressed(enveloped(certificate), RecoveryCertificate(certificate).certificate)
