import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7EnvelopeBuilder, PKCS7Options

from directory.http.certificate_query import IssuerAttribute, IssuerQuery
from directory.http.issuer_search import matching
from tests.builders import Authority


def der_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def sha1(octets: bytes) -> bytes:
    return hashlib.sha1(octets, usedforsecurity=False).digest()


def found(authority: Authority, attribute: IssuerAttribute, value: bytes) -> list[bytes]:
    return matching(IssuerQuery(attribute=attribute, value=value), [der_of(c) for c in authority.chain])


def test_a_certificate_is_found_by_its_own_hash(authority: Authority) -> None:
    issuing, root = authority.chain

    for certificate in (issuing, root):
        der = der_of(certificate)
        assert found(authority, IssuerAttribute.CERTIFICATE_HASH, sha1(der)) == [der]


def test_the_issuer_of_a_certificate_is_found_by_the_hash_of_its_name(authority: Authority) -> None:
    issuing, root = authority.chain

    name = sha1(issuing.issuer.public_bytes())

    assert found(authority, IssuerAttribute.SUBJECT_HASH, name) == [der_of(root)]


def test_all_that_an_issuer_issued_to_authorities_is_found(authority: Authority) -> None:
    issuing, root = authority.chain

    name = sha1(root.subject.public_bytes())

    assert found(authority, IssuerAttribute.ISSUER_HASH, name) == [der_of(issuing), der_of(root)]


def test_the_issuer_is_found_by_the_key_identifier_a_certificate_names(authority: Authority) -> None:
    issuing, root = authority.chain
    named = issuing.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert named is not None

    assert found(authority, IssuerAttribute.SUBJECT_KEY_IDENTIFIER_HASH, sha1(named)) == [der_of(root)]


def test_a_certificate_is_found_by_its_common_name(authority: Authority) -> None:
    assert found(authority, IssuerAttribute.NAME, b"Example Root 2026") == [
        der_of(authority.root.certificate)
    ]
    assert found(authority, IssuerAttribute.NAME, b"example root 2026") == []


def test_issuer_and_serial_are_hashed_as_cms_writes_them(authority: Authority) -> None:
    # CMS names a recipient by the same structure; a library that is not ours wrote this one.
    issuing = authority.issuer.certificate
    envelope = (
        PKCS7EnvelopeBuilder()
        .set_data(b"x")
        .add_recipient(issuing)
        .encrypt(Encoding.DER, [PKCS7Options.Binary])
    )
    name = issuing.issuer.public_bytes()
    start = envelope.index(name)
    serial_length = envelope[start + len(name) + 1]
    content = envelope[start : start + len(name) + 2 + serial_length]
    structure = bytes([0x30, len(content)]) + content
    assert structure in envelope

    assert found(authority, IssuerAttribute.ISSUER_AND_SERIAL_HASH, sha1(structure)) == [der_of(issuing)]


@pytest.mark.parametrize("attribute", IssuerAttribute)
def test_what_nobody_has_finds_nothing(authority: Authority, attribute: IssuerAttribute) -> None:
    assert found(authority, attribute, bytes(20)) == []
