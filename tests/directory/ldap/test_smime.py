"""The package of userSMIMECertificate, read by another implementation."""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from ca.keys import PrivateKey
from directory.authorities import PublishedAuthority
from directory.ldap.smime import packaged
from tests.builders import Authority
from tests.directory.ldap.authorities import certified, der, published, self_signed


def unpacked(package: bytes | None) -> set[bytes]:
    assert package is not None
    return {der(certificate) for certificate in pkcs7.load_der_pkcs7_certificates(package)}


def test_holds_the_certificate_and_its_whole_chain(authority: Authority, recipient_key: PrivateKey) -> None:
    certificate = certified(authority, recipient_key)

    package = packaged(certificate, published(authority).current())

    assert unpacked(package) == {certificate, *map(der, authority.chain)}


def test_a_certificate_from_elsewhere_comes_alone(authority: Authority) -> None:
    stranger = self_signed((NameOID.COMMON_NAME, "bob@example.com"))

    assert unpacked(packaged(stranger, published(authority).current())) == {stranger}


def test_a_namesake_of_the_issuer_is_not_the_issuer(authority: Authority, recipient_key: PrivateKey) -> None:
    certificate = certified(authority, recipient_key)
    subject = x509.load_der_x509_certificate(certificate).issuer
    namesake = self_signed(*((attribute.oid, str(attribute.value)) for attribute in subject))

    package = packaged(certificate, (PublishedAuthority(certificate=namesake, is_root=True, crl=None),))

    assert unpacked(package) == {certificate}


def test_there_is_none_of_what_is_no_certificate(authority: Authority) -> None:
    assert packaged(b"no certificate", published(authority).current()) is None
