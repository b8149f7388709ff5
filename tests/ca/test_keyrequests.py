"""Only a request that is genuine, strong and modest is listened to, and only its key is taken over."""

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from ca.address import Mailbox
from ca.errors import KeyRefused
from ca.keyrequests import certifiable, read_public_key, read_request
from ca.keys import PrivateKey, PublicKey
from tests.builders import Authority, a_certificate
from tests.ca.weakkeys import WEAK

ANNA = x509.RFC822Name("anna@hospital.example.org")
GATEWAY = (NameOID.COMMON_NAME, "gateway.hospital.example.org")


def a_request(
    key: PrivateKey,
    *names: x509.GeneralName,
    subject: tuple[x509.ObjectIdentifier, str] = GATEWAY,
    algorithm: hashes.SHA256 | hashes.SHA384 | None = None,
) -> x509.CertificateSigningRequest:
    builder = x509.CertificateSigningRequestBuilder(x509.Name([x509.NameAttribute(*subject)]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, algorithm or hashes.SHA256())


def der(request: x509.CertificateSigningRequest) -> bytes:
    return request.public_bytes(Encoding.DER)


def pem(request: x509.CertificateSigningRequest) -> bytes:
    return request.public_bytes(Encoding.PEM)


def code_of(file: bytes) -> str:
    with pytest.raises(KeyRefused) as refused:
        read_request(file)
    return refused.value.code


@pytest.mark.parametrize("written", [der, pem])
def test_reads_the_key_of_a_request(
    written: Callable[[x509.CertificateSigningRequest], bytes], recipient_key: PrivateKey
) -> None:
    request = read_request(written(a_request(recipient_key)))

    assert request.public_key == recipient_key.public_key()
    assert request.mailboxes == frozenset()


def test_takes_an_elliptic_key_and_a_stronger_hash() -> None:
    key = ec.generate_private_key(ec.SECP256R1())

    assert read_request(der(a_request(key, algorithm=hashes.SHA384()))).public_key == key.public_key()


def test_tells_the_addresses_that_it_names(recipient_key: PrivateKey) -> None:
    asked = a_request(recipient_key, ANNA, subject=(NameOID.EMAIL_ADDRESS, "bert@hospital.example.org"))

    named = read_request(der(asked)).mailboxes

    assert named == {Mailbox.parse(ANNA.value), Mailbox.parse("bert@hospital.example.org")}


@pytest.mark.parametrize(
    "name",
    [
        x509.DNSName("hospital.example.org"),
        x509.UniformResourceIdentifier("http://hospital.example.org"),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9"), b"\x0c\x01a"),
        x509.RFC822Name("anna@localhost"),
    ],
    ids=lambda name: type(name).__name__,
)
def test_refuses_a_name_that_is_no_mail_address(name: x509.GeneralName, recipient_key: PrivateKey) -> None:
    assert code_of(der(a_request(recipient_key, ANNA, name))) == "request.other_name"


def test_refuses_an_unacceptable_address_in_the_subject(recipient_key: PrivateKey) -> None:
    asked = a_request(recipient_key, subject=(NameOID.COMMON_NAME, "Anna <anna@hospital.example.org>"))

    assert code_of(der(asked)) == "request.other_name"


def test_refuses_a_signature_that_was_tampered_with(recipient_key: PrivateKey) -> None:
    signed = der(a_request(recipient_key))

    assert code_of(signed[:-1] + bytes([signed[-1] ^ 1])) == "request.signature"


def test_refuses_a_name_that_was_changed_after_signing(recipient_key: PrivateKey) -> None:
    assert code_of(der(a_request(recipient_key)).replace(b"gateway", b"getaway")) == "request.signature"


def test_refuses_somebody_elses_signature(recipient_key: PrivateKey) -> None:
    other = rsa.generate_private_key(65537, 2048)
    mine, theirs = (
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for key in (recipient_key, other)
    )

    assert code_of(der(a_request(recipient_key)).replace(mine, theirs)) == "request.signature"


@pytest.mark.parametrize("bits", [1024, 1032])
def test_refuses_a_weak_key_before_anything_else(bits: int) -> None:
    assert code_of(der(a_request(rsa.generate_private_key(65537, bits)))) == "key.size"


@pytest.mark.parametrize("name", WEAK)
def test_no_weak_key_is_certifiable(name: str) -> None:
    make, code = WEAK[name]

    with pytest.raises(KeyRefused) as refused:
        certifiable(make())
    assert refused.value.code == code


def test_a_key_that_is_good_but_of_no_algorithm_of_ours_is_not_certifiable() -> None:
    assert code_of(der(a_request(ec.generate_private_key(ec.SECP384R1())))) == "key.refused"


@pytest.mark.parametrize("file", [b"", b"nonsense", b"-----BEGIN CERTIFICATE REQUEST-----"])
def test_refuses_what_is_no_request(file: bytes) -> None:
    assert code_of(file) == "request.form"


@given(st.binary(max_size=200))
def test_refuses_any_other_bytes(file: bytes) -> None:
    assert code_of(file) == "request.form"
    with pytest.raises(KeyRefused):
        read_public_key(file)


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_a_public_key_is_read_out_of_whatever_holds_one(
    encoding: Encoding, authority: Authority, recipient_key: PrivateKey
) -> None:
    key: PublicKey = recipient_key.public_key()
    files = (
        key.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo),
        a_certificate(authority, key).public_bytes(encoding),
        a_request(recipient_key).public_bytes(encoding),
    )

    assert [read_public_key(file) for file in files] == [key] * 3


def test_a_weak_public_key_can_be_read_so_that_it_can_be_blocked() -> None:
    weak = WEAK["factor 3"][0]()
    assert isinstance(weak, rsa.RSAPublicKey)

    assert read_public_key(weak.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)) == weak
