import plistlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
)
from cryptography.x509.oid import NameOID

from ca.keys import PrivateKey
from directory.delivery.mobileconfig import ProfileContent, ProfileSigner, configuration_profile
from directory.errors import ConfigurationRefused
from tests.builders import NOW, Authority, a_certificate


def some_content(authority: Authority, *, key_package: bytes = b"locked") -> ProfileContent:
    return ProfileContent(
        enrolment_id="0123",
        identifier="org.hospital",
        organization="City Hospital <b>&",
        title="Key for encrypted mail",
        description="For alice@example.com.",
        key_package=key_package,
        key_title="alice@example.com",
        key_file_name="encryption-key.p12",
        chain=[one.public_bytes(Encoding.DER) for one in authority.chain],
    )


def read(profile: bytes) -> dict[str, Any]:
    loaded: dict[str, Any] = plistlib.loads(profile)
    return loaded


def test_holds_the_root_the_issuing_authority_and_the_locked_key_in_this_order(authority: Authority) -> None:
    profile = read(configuration_profile(some_content(authority)))

    issuing, root = (one.public_bytes(Encoding.DER) for one in authority.chain)
    assert profile["PayloadType"] == "Configuration"
    assert [(one["PayloadType"], one["PayloadContent"]) for one in profile["PayloadContent"]] == [
        ("com.apple.security.root", root),
        ("com.apple.security.pkcs1", issuing),
        ("com.apple.security.pkcs12", b"locked"),
    ]


def test_holds_no_password(authority: Authority) -> None:
    key = read(configuration_profile(some_content(authority)))["PayloadContent"][-1]

    assert set(key) == {
        "PayloadType",
        "PayloadVersion",
        "PayloadIdentifier",
        "PayloadUUID",
        "PayloadDisplayName",
        "PayloadContent",
        "PayloadCertificateFileName",
    }


def test_says_from_whom_it_is_in_the_words_it_was_given(authority: Authority) -> None:
    profile = read(configuration_profile(some_content(authority)))

    assert profile["PayloadOrganization"] == "City Hospital <b>&"
    assert profile["PayloadDisplayName"] == "Key for encrypted mail"
    assert profile["PayloadDescription"] == "For alice@example.com."
    assert [one["PayloadDisplayName"] for one in profile["PayloadContent"]] == [
        "Example Root 2026",
        "Example Issuing CA 2026",
        "alice@example.com",
    ]


def test_replaces_itself_when_it_is_installed_again(authority: Authority) -> None:
    first = read(configuration_profile(some_content(authority)))
    again = read(configuration_profile(some_content(authority, key_package=b"locked otherwise")))
    other = read(configuration_profile(replace(some_content(authority), enrolment_id="4567")))

    assert (first["PayloadIdentifier"], first["PayloadUUID"]) == (
        again["PayloadIdentifier"],
        again["PayloadUUID"],
    )
    assert first["PayloadIdentifier"] != other["PayloadIdentifier"]


def test_names_each_part_apart(authority: Authority) -> None:
    profile = read(configuration_profile(some_content(authority)))

    parts = [profile, *profile["PayloadContent"]]
    assert len({one["PayloadUUID"] for one in parts}) == len(parts)
    assert len({one["PayloadIdentifier"] for one in parts}) == len(parts)


def a_self_signed_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keys.clinic.example")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


def pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificates_pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def test_is_signed_with_the_chain_inside(authority: Authority, recipient_key: PrivateKey) -> None:
    certificate = a_certificate(authority, recipient_key.public_key())
    chain = certificates_pem(certificate, authority.issuer.certificate)
    profile = configuration_profile(some_content(authority))

    signed = ProfileSigner(chain, pem(recipient_key)).sign(profile)

    assert profile in signed
    assert {one.subject for one in pkcs7.load_der_pkcs7_certificates(signed)} == {
        certificate.subject,
        authority.issuer.certificate.subject,
    }


def test_can_be_signed_with_a_key_of_an_elliptic_curve() -> None:
    key = ec.generate_private_key(ec.SECP256R1())

    signed = ProfileSigner(certificates_pem(a_self_signed_certificate(key)), pem(key)).sign(b"<plist/>")

    assert b"<plist/>" in signed


def test_refuses_a_key_that_is_not_the_certificates(authority: Authority, recipient_key: PrivateKey) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        ProfileSigner(certificates_pem(authority.root.certificate), pem(recipient_key))

    assert refused.value.key == "pages.signing_key"


def test_refuses_a_key_it_cannot_sign_with() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    own = ec.generate_private_key(ec.SECP256R1())

    with pytest.raises(ConfigurationRefused) as refused:
        ProfileSigner(
            certificates_pem(a_self_signed_certificate(own)),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )

    assert refused.value.key == "pages.signing_key"


def test_refuses_what_is_no_certificate_and_what_is_no_key(
    authority: Authority, recipient_key: PrivateKey
) -> None:
    chain = certificates_pem(authority.root.certificate)
    locked = recipient_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x" * 16)
    )
    for certificates, key in ((b"", pem(recipient_key)), (chain, b"no key"), (chain, locked)):
        with pytest.raises(ConfigurationRefused) as refused:
            ProfileSigner(certificates, key)

        assert refused.value.key == "pages.signing_certificate"
