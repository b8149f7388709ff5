"""Name constraints on mail addresses (RFC 5280 section 4.2.1.10)."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from ca.address import Mailbox
from ca.constraints import permits, permitted_domains, specimen
from ca.errors import LintFailed, ProfileRefused
from ca.hierarchy import AuthorityName, create_issuing
from ca.issuance import Issuer
from ca.keys import KeyAlgorithm, PrivateKey, generate
from ca.linting import Linter
from ca.profiles import Profile, ProfileConfig, Purpose
from ca.signers import SoftwareSigner
from tests.builders import NOW, PUBLICATION, Authority, a_profile

KEY = generate(KeyAlgorithm.P_256)


def a_certificate(constraints: x509.NameConstraints | None) -> x509.Certificate:
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), 1, NOW, NOW + timedelta(days=1))
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    return builder.sign(KEY, hashes.SHA256())


@pytest.mark.parametrize(
    ("constraint", "address", "expected"),
    [
        ("example.org", "anna@example.org", True),
        ("EXAMPLE.org", "anna@example.org", True),
        ("example.org", "anna@mail.example.org", False),
        ("example.org", "anna@notexample.org", False),
        (".example.org", "anna@mail.example.org", True),
        (".example.org", "anna@example.org", False),
        ("anna@example.org", "anna@example.org", True),
        ("anna@example.org", "berta@example.org", False),
        ("EXAMPLE.org", "jörg@example.org", True),
        ("example.org", "jörg@mail.example.org", False),
        (".example.org", "jörg@mail.example.org", True),
        ("jorg@example.org", "jörg@example.org", False),
    ],
)
def test_a_constraint_holds_what_the_standard_says(constraint: str, address: str, *, expected: bool) -> None:
    mailbox = Mailbox.parse_international(address)
    names = [x509.RFC822Name(constraint)]

    permitting = a_certificate(x509.NameConstraints(permitted_subtrees=names, excluded_subtrees=None))
    excluding = a_certificate(x509.NameConstraints(permitted_subtrees=None, excluded_subtrees=names))

    assert permits(permitting, mailbox) is expected
    assert permits(excluding, mailbox) is not expected


def test_without_constraints_on_mail_every_address_is_permitted() -> None:
    others = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.org")], excluded_subtrees=None)

    for certificate in (a_certificate(None), a_certificate(others)):
        assert permits(certificate, Mailbox.parse("anna@example.com"))


@pytest.mark.parametrize("domains", [{"example.org"}, {".example.org"}, {"example.com", ".example.com"}])
def test_a_specimen_is_permitted(domains: set[str]) -> None:
    certificate = a_certificate(permitted_domains(domains))

    assert permits(certificate, specimen(certificate))


def constrained_profile(*domains: str, purpose: Purpose = Purpose.ISSUING_CA) -> Profile:
    return Profile.from_config(
        ProfileConfig(
            purpose=purpose,
            key_algorithm=KeyAlgorithm.RSA_2048,
            validity=timedelta(days=825),
            permitted_domains=frozenset(domains),
        )
    )


@pytest.fixture(scope="module")
def constrained(authority: Authority, linter: Linter) -> Issuer:
    key = generate(KeyAlgorithm.RSA_2048)
    name = AuthorityName(organization="Clinic", common_name="Clinic Issuing CA")
    profile = constrained_profile("example.org", ".example.org")
    certificate = create_issuing(authority.root, profile, name, key.public_key(), NOW)
    return Issuer(certificate, SoftwareSigner(key), PUBLICATION, linter)


def test_the_certificate_of_a_constrained_ca_says_so_critically_and_lints_clean(
    constrained: Issuer, linter: Linter
) -> None:
    extension = constrained.certificate.extensions.get_extension_for_class(x509.NameConstraints)

    assert extension.critical
    assert [one.value for one in extension.value.permitted_subtrees or ()] == [".example.org", "example.org"]
    assert linter.findings(constrained.certificate.public_bytes(Encoding.DER), Purpose.ISSUING_CA) == ()


def test_a_constrained_ca_certifies_within_its_constraints_alone(
    constrained: Issuer, recipient_key: PrivateKey
) -> None:
    profile, key = a_profile(validity=timedelta(days=300)), recipient_key.public_key()
    constrained.rehearse(profile, key, NOW)
    inside = constrained.prepare(profile, Mailbox.parse("anna@mail.example.org"), key, NOW)
    constrained.sign(constrained.lint(inside))

    outside = constrained.prepare(profile, Mailbox.parse("anna@example.com"), key, NOW)
    with pytest.raises(LintFailed, match="address_not_permitted_to_the_issuer"):
        constrained.lint(outside)


@pytest.mark.parametrize("domain", ["", ".", "Example.org", "anna@example.org", "exa mple.org"])
def test_a_constraint_that_is_no_domain_is_refused(domain: str) -> None:
    with pytest.raises(ProfileRefused) as refused:
        constrained_profile(domain)

    assert refused.value.field == "permitted_domains"


def test_only_issuing_cas_are_constrained() -> None:
    with pytest.raises(ProfileRefused):
        constrained_profile("example.org", purpose=Purpose.RECIPIENT_ENCRYPTION)
