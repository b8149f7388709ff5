import email
from email import policy

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization.pkcs7 import pkcs7_decrypt_der
from hypothesis import given
from hypothesis import strategies as st

from ca.keys import PrivateKey
from ca.profiles import Purpose
from directory.delivery.enveloping import enveloped_for
from directory.errors import EnvelopeRefused
from tests.builders import Authority, a_certificate, a_profile
from tests.directory.delivery.certificates import a_bare_certificate

ENTITY = b"Content-Type: text/plain; charset=utf-8\r\n\r\nOnly you can read this.\r\n"


def content_of(entity: bytes) -> bytes:
    message = email.message_from_bytes(entity, policy=policy.default)
    content = message.get_content()
    assert isinstance(content, bytes)
    return content


def opened(entity: bytes, certificate: x509.Certificate, key: PrivateKey) -> bytes:
    assert isinstance(key, rsa.RSAPrivateKey)
    return pkcs7_decrypt_der(content_of(entity), certificate, key, [])


@pytest.fixture(scope="module")
def certificate(authority: Authority, recipient_key: PrivateKey) -> x509.Certificate:
    return a_certificate(authority, recipient_key.public_key())


def test_the_holder_of_the_key_reads_what_was_put_in(
    certificate: x509.Certificate, recipient_key: PrivateKey
) -> None:
    assert opened(enveloped_for(certificate)(ENTITY), certificate, recipient_key) == ENTITY


def test_nothing_of_it_can_be_read_outside(certificate: x509.Certificate) -> None:
    entity = enveloped_for(certificate)(ENTITY)

    assert b"Only you" not in content_of(entity)
    assert b"text/plain" not in content_of(entity)


def test_two_of_the_same_have_nothing_in_common(certificate: x509.Certificate) -> None:
    envelop = enveloped_for(certificate)

    assert content_of(envelop(ENTITY))[-64:] != content_of(envelop(ENTITY))[-64:]


def test_another_key_opens_nothing(certificate: x509.Certificate) -> None:
    entity = enveloped_for(certificate)(ENTITY)
    stranger = a_bare_certificate(rsa.generate_private_key(65537, 2048))

    with pytest.raises(ValueError, match="recipient"):
        opened(entity, stranger, rsa.generate_private_key(65537, 2048))


def test_it_is_declared_as_s_mime_says(certificate: x509.Certificate) -> None:
    message = email.message_from_bytes(enveloped_for(certificate)(ENTITY), policy=policy.default)

    assert message.get_content_type() == "application/pkcs7-mime"
    assert message["Content-Type"].params == {"smime-type": "enveloped-data", "name": "smime.p7m"}
    assert message.get_filename() == "smime.p7m"
    assert message["Content-Transfer-Encoding"] == "base64"


def test_it_is_encrypted_with_aes_256(certificate: x509.Certificate) -> None:
    # 2.16.840.1.101.3.4.1.42, aes256-CBC (RFC 3565 section 4.1).
    assert bytes.fromhex("06096086480165030401 2a") in content_of(enveloped_for(certificate)(ENTITY))


@given(st.binary(max_size=2000))
def test_whatever_is_put_in_all_lines_end_with_crlf_and_are_short(content: bytes) -> None:
    certificate = a_bare_certificate(KEY)
    entity = enveloped_for(certificate)(content)

    lines = entity.split(b"\r\n")
    assert all(len(line) <= 78 and b"\r" not in line and b"\n" not in line for line in lines)
    canonical = opened(entity, certificate, KEY)
    assert canonical.replace(b"\r\n", b"") == content.replace(b"\r\n", b"").replace(b"\r", b"").replace(
        b"\n", b""
    )


KEY = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize("ending", [b"\n", b"\r", b"\r\n"])
def test_line_ends_are_made_canonical_before_they_are_encrypted(ending: bytes) -> None:
    certificate = a_bare_certificate(KEY)

    entity = enveloped_for(certificate)(ENTITY.replace(b"\r\n", ending))

    assert opened(entity, certificate, KEY) == ENTITY


def test_a_certificate_without_key_usage_may_be_encrypted_to() -> None:
    certificate = a_bare_certificate(KEY)

    assert opened(enveloped_for(certificate)(ENTITY), certificate, KEY) == ENTITY


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "envelope.not_rsa"),
        (rsa.generate_private_key(65537, 1024), "envelope.short_key"),  # noqa: S505 - it is refused
    ],
)
def test_refuses_a_key_it_cannot_or_should_not_encrypt_to(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, code: str
) -> None:
    with pytest.raises(EnvelopeRefused) as refused:
        enveloped_for(a_bare_certificate(key))

    assert refused.value.code == code


def test_refuses_a_key_that_must_only_sign() -> None:
    signing = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )

    with pytest.raises(EnvelopeRefused) as refused:
        enveloped_for(a_bare_certificate(KEY, key_usage=signing))

    assert refused.value.code == "envelope.key_usage"


@pytest.mark.parametrize("purpose", [Purpose.RECIPIENT_ENCRYPTION, Purpose.RECIPIENT_DUAL])
def test_every_kind_of_certificate_that_is_minted_can_be_encrypted_to(
    authority: Authority, recipient_key: PrivateKey, purpose: Purpose
) -> None:
    certificate = a_certificate(authority, recipient_key.public_key(), profile=a_profile(purpose))

    assert opened(enveloped_for(certificate)(ENTITY), certificate, recipient_key) == ENTITY
