import ipaddress
import ssl
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.errors import KeyRefused, LintFailed, ProfileRefused
from ca.hierarchy import AuthorityName, create_issuing, create_tls_server
from ca.issuance import Issuer
from ca.keys import KeyAlgorithm, PrivateKey, algorithm_of, generate, same_key
from ca.linting import Linter
from ca.profiles import Profile, ProfileConfig, Purpose
from tests.builders import (
    NOW,
    PUBLICATION,
    Authority,
    TokenKey,
    TokenSigner,
    a_profile,
    create_root,
)
from tests.ca.defects import Spoil, lasting, with_eku, with_usage, with_value, without

NAME = AuthorityName(organization="Example", common_name="Example CA 2026")


def extension(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> x509.ExtensionType | None:
    return next((known.value for known in certificate.extensions if known.oid == oid), None)


def test_a_root_signs_itself_and_lasts_20_years(linter: Linter) -> None:
    profile = a_profile(Purpose.ROOT_CA, validity=ProfileConfig.standard(Purpose.ROOT_CA).validity)
    root, key = create_root(profile, NAME, NOW, linter)
    root.verify_directly_issued_by(root)
    assert same_key(root.public_key(), key.public_key())
    assert timedelta(days=7304) < root.not_valid_after_utc - root.not_valid_before_utc < timedelta(days=7305)


def test_the_standard_root_has_an_rsa_4096_key(linter: Linter) -> None:
    root, _ = create_root(Profile.from_config(ProfileConfig.standard(Purpose.ROOT_CA)), NAME, NOW, linter)
    assert algorithm_of(root.public_key()) is KeyAlgorithm.RSA_4096
    assert linter.findings(root.public_bytes(Encoding.DER), Purpose.ROOT_CA) == ()


def test_a_root_points_nowhere(authority: Authority) -> None:
    root = authority.root.certificate
    assert extension(root, x509.CRLDistributionPoints.oid) is None
    assert extension(root, x509.AuthorityInformationAccess.oid) is None


def test_the_issuing_cas_status_is_the_roots_crl_and_no_ocsp(authority: Authority) -> None:
    points = extension(authority.issuer.certificate, x509.CRLDistributionPoints.oid)
    access = extension(authority.issuer.certificate, x509.AuthorityInformationAccess.oid)
    assert isinstance(points, x509.CRLDistributionPoints)
    assert isinstance(access, x509.AuthorityInformationAccess)
    key_id = authority.root.key_id
    assert points[0].full_name == [x509.UniformResourceIdentifier(PUBLICATION.crl_url(key_id))]
    assert [entry.access_location.value for entry in access] == [PUBLICATION.certificate_url(key_id)]


def test_the_issuing_ca_is_held_to_mail(authority: Authority) -> None:
    usage = extension(authority.issuer.certificate, x509.ExtendedKeyUsage.oid)
    assert usage == x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])


def test_the_name_of_a_ca_is_written_with_its_cn_first(authority: Authority) -> None:
    assert authority.issuer.name.rfc4514_string() == "CN=Example Issuing CA 2026,O=Example"


def test_an_issuing_cas_key_may_stay_in_a_token(authority: Authority, recipient_key: PrivateKey) -> None:
    certificate = create_issuing(
        authority.root, a_profile(Purpose.ISSUING_CA), NAME, recipient_key.public_key(), NOW
    )
    assert isinstance(recipient_key, rsa.RSAPrivateKey)
    signer = TokenSigner(signing_key=TokenKey(recipient_key))
    assert Issuer(certificate, signer, PUBLICATION, authority.linter).name == NAME.distinguished_name


def test_an_issuing_ca_does_not_outlive_its_root(authority: Authority, recipient_key: PrivateKey) -> None:
    late = authority.root.certificate.not_valid_after_utc - timedelta(days=3000)
    with pytest.raises(ProfileRefused, match="outlive the issuer"):
        create_issuing(authority.root, a_profile(Purpose.ISSUING_CA), NAME, recipient_key.public_key(), late)


def test_an_issuing_cas_key_is_of_its_profiles_algorithm(authority: Authority) -> None:
    key = generate(KeyAlgorithm.P_256).public_key()
    with pytest.raises(KeyRefused, match="asks for rsa-2048"):
        create_issuing(authority.root, a_profile(Purpose.ISSUING_CA), NAME, key, NOW)


@pytest.mark.parametrize("purpose", [Purpose.RECIPIENT_ENCRYPTION, Purpose.TLS_SERVER, Purpose.ROOT_CA])
def test_only_an_issuing_cas_profile_makes_an_issuing_ca(
    authority: Authority, recipient_key: PrivateKey, purpose: Purpose
) -> None:
    with pytest.raises(ProfileRefused, match="purpose"):
        create_issuing(authority.root, a_profile(purpose), NAME, recipient_key.public_key(), NOW)


@pytest.mark.parametrize("purpose", [purpose for purpose in Purpose if purpose is not Purpose.ROOT_CA])
def test_only_a_roots_profile_makes_a_root(linter: Linter, purpose: Purpose) -> None:
    with pytest.raises(ProfileRefused, match="purpose"):
        create_root(a_profile(purpose), NAME, NOW, linter)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (without(x509.ExtendedKeyUsage), "pushpki.extended_key_usage_not_of_the_purpose"),
        (with_eku(ExtendedKeyUsageOID.SERVER_AUTH), "pushpki.extended_key_usage_not_of_the_purpose"),
        (
            with_value(x509.BasicConstraints(ca=True, path_length=None)),
            "pushpki.basic_constraints_not_of_the_purpose",
        ),
        (
            with_value(x509.BasicConstraints(ca=True, path_length=1)),
            "pushpki.basic_constraints_not_of_the_purpose",
        ),
        (with_usage("key_cert_sign"), "pushpki.key_usage_not_of_the_purpose"),
        (without(x509.SubjectKeyIdentifier), "pkix.certificate_skid_ca_missing"),
        (lasting(3660), "pushpki.validity_too_long"),
    ],
)
def test_a_defective_issuing_ca_is_found_before_the_roots_key_is_used(
    authority: Authority, recipient_key: PrivateKey, spoil: Spoil, code: str
) -> None:
    assert isinstance(authority.root_key, rsa.RSAPrivateKey)
    token = TokenKey(authority.root_key)
    root = Issuer(authority.root.certificate, TokenSigner(signing_key=token), PUBLICATION, authority.linter)
    prepared = root.prepare_issuing_ca(
        a_profile(Purpose.ISSUING_CA), NAME.distinguished_name, recipient_key.public_key(), NOW
    )
    with pytest.raises(LintFailed, match=code.replace(".", r"\.")):
        root.lint(spoil(prepared))
    assert token.signatures == 0


@pytest.mark.parametrize("text", ["", " ", "x" * 65, "new\nline", " blank", "zero\u200bwidth", "nul\0"])
def test_refuses_a_name_that_nobody_could_read(text: str) -> None:
    with pytest.raises(ProfileRefused) as refused:
        replace(NAME, common_name=text)
    assert refused.value.field == "common_name"


def test_a_name_may_hold_any_visible_letters(authority: Authority, recipient_key: PrivateKey) -> None:
    name = AuthorityName(organization="Städtisches Klinikum, 北京 & Co.", common_name="Ausgabe-CA 2026")
    certificate = create_issuing(
        authority.root, a_profile(Purpose.ISSUING_CA), name, recipient_key.public_key(), NOW
    )
    assert certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == name.organization


def test_the_tls_server_is_a_leaf_for_its_hosts_alone(linter: Linter) -> None:
    certificate, key = create_tls_server(["localhost", "127.0.0.1", "::1", "pki.example.com"], NOW, linter)
    names = extension(certificate, x509.SubjectAlternativeName.oid)
    assert isinstance(names, x509.SubjectAlternativeName)
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "pki.example.com"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]
    assert extension(certificate, x509.BasicConstraints.oid) == x509.BasicConstraints(
        ca=False, path_length=None
    )
    assert same_key(certificate.public_key(), key.public_key())


@pytest.mark.parametrize(
    "host",
    [
        "",
        "local host",
        "LOCALHOST",
        "-a.example.com",
        "a..b",
        "bücher.example",
        "a_b",
        "x" * 64,
        "localhost\n",
    ],
)
def test_the_tls_server_refuses_what_is_no_host(linter: Linter, host: str) -> None:
    with pytest.raises(ProfileRefused) as refused:
        create_tls_server([host], NOW, linter)
    assert refused.value.field == "hosts"


def test_the_tls_server_needs_a_host(linter: Linter) -> None:
    with pytest.raises(ProfileRefused, match="at least one"):
        create_tls_server([], NOW, linter)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_client_that_trusts_the_tls_server_completes_a_handshake(
    linter: Linter, tmp_path: Path, host: str
) -> None:
    """OpenSSL on both sides, in its strictest mode, joined in memory."""
    certificate, key = create_tls_server(["localhost", "127.0.0.1"], NOW, linter)
    chain, secret = tmp_path / "server.pem", tmp_path / "server.key"
    chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_context.load_cert_chain(chain, secret)
    client_context = ssl.create_default_context(cafile=str(chain))
    client_context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT

    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    unfinished = [client, server]
    for _ in range(6):
        unfinished = [side for side in unfinished if not has_shaken_hands(side)]
    assert unfinished == []
    assert client.getpeercert(binary_form=True) == certificate.public_bytes(Encoding.DER)


def has_shaken_hands(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
