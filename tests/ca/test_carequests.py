"""Requests for the certificate of an issuing CA."""

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ca.carequests import read_ca_request, request_issuing
from ca.errors import KeyRefused
from ca.hierarchy import AuthorityName
from ca.keys import KeyAlgorithm, generate
from ca.profiles import Purpose, basic_constraints, extended_key_usage, key_usage
from ca.signers import SoftwareSigner

NAME = AuthorityName(organization="Clinic", common_name="Clinic Issuing CA 2026")
KEY = generate(KeyAlgorithm.RSA_2048)
SUBJECT = NAME.distinguished_name
WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point


def der(
    subject: x509.Name = SUBJECT,
    key: rsa.RSAPrivateKey | None = None,
    algorithm: hashes.SHA256 | hashes.SHA224 | None = None,
) -> bytes:
    assert isinstance(KEY, rsa.RSAPrivateKey)
    builder = x509.CertificateSigningRequestBuilder(subject)
    return builder.sign(key or KEY, algorithm or hashes.SHA256()).public_bytes(Encoding.DER)


def broken() -> bytes:
    whole = bytearray(der())
    whole[-1] ^= 1
    return bytes(whole)


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_what_is_asked_for_is_read_back(encoding: Encoding) -> None:
    request = read_ca_request(request_issuing(SoftwareSigner(KEY), NAME).public_bytes(encoding))

    assert (request.name, request.public_key) == (NAME, KEY.public_key())


def test_a_request_says_what_an_issuing_ca_must_be_able_to_do() -> None:
    extensions = request_issuing(SoftwareSigner(KEY), NAME).extensions

    wanted = (
        basic_constraints(Purpose.ISSUING_CA),
        key_usage(Purpose.ISSUING_CA, KeyAlgorithm.RSA_2048),
        extended_key_usage(Purpose.ISSUING_CA),
        x509.SubjectKeyIdentifier.from_public_key(KEY.public_key()),
    )
    assert {one.value for one in extensions} == set(wanted)


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (lambda: b"nonsense", "request.form"),
        (lambda: b"-----BEGIN NONSENSE-----", "request.form"),
        (broken, "request.signature"),
        (lambda: der(algorithm=hashes.SHA224()), "request.signature"),
        (lambda: der(key=WEAK), "key.size"),
        (lambda: der(x509.Name([])), "request.other_name"),
        (lambda: der(x509.Name([*SUBJECT][:1])), "request.other_name"),
        (
            lambda: der(x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"), *SUBJECT])),
            "request.other_name",
        ),
        (lambda: der(x509.Name([*SUBJECT, *SUBJECT])), "request.other_name"),
    ],
)
def test_another_request_is_refused(file: Callable[[], bytes], code: str) -> None:
    with pytest.raises(KeyRefused) as refused:
        read_ca_request(file())

    assert refused.value.code == code
