"""Our root vouches for somebody else's CA, within limits, or refuses."""

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from ca.carequests import request_issuing
from ca.constraints import mail_names
from ca.crosscertification import OtherCa, cross_certify, read_other_ca
from ca.errors import IssuerRefused, KeyRefused, ProfileRefused
from ca.hierarchy import AuthorityName
from ca.issuerimport import ImportFlaw
from ca.keys import KeyAlgorithm, generate
from ca.linting import Linter
from ca.profiles import Purpose
from ca.signers import SoftwareSigner
from directory.issuing import issuing_profile
from tests.builders import NOW, Authority
from tests.ca.strangers import YEAR, Stranger

NAME = AuthorityName(organization="Other", common_name="Other Issuing CA")
DOMAINS = frozenset({"other.example", ".other.example"})


def other_ca(**deviations: object) -> x509.Certificate:
    key = generate(KeyAlgorithm.RSA_2048).public_key()
    return Stranger("Other Root").certify(NAME.distinguished_name, key, **deviations)  # type: ignore[arg-type]


def certified(authority: Authority, other: OtherCa, domains: frozenset[str] = DOMAINS) -> x509.Certificate:
    ends = authority.root.certificate.not_valid_after_utc
    profile = issuing_profile(KeyAlgorithm.RSA_2048, domains, ends, NOW)
    return cross_certify(authority.root, profile, other, NOW)


def test_a_cas_certificate_is_certified_once_more(authority: Authority, linter: Linter) -> None:
    theirs = other_ca()

    ours = certified(authority, read_other_ca(theirs.public_bytes(Encoding.PEM), NOW))

    ours.verify_directly_issued_by(authority.root.certificate)
    assert ours.subject == theirs.subject
    assert (
        ours.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        == theirs.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    )
    assert ours.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    constraints = ours.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert set(mail_names(constraints.value.permitted_subtrees)) == DOMAINS
    assert linter.findings(ours.public_bytes(Encoding.DER), Purpose.ISSUING_CA) == ()


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_a_request_says_the_same(authority: Authority, encoding: Encoding) -> None:
    key = generate(KeyAlgorithm.RSA_2048)
    request = request_issuing(SoftwareSigner(key), NAME).public_bytes(encoding)

    ours = certified(authority, read_other_ca(request, NOW))

    assert ours.subject == NAME.distinguished_name
    assert ours.public_key() == key.public_key()


def test_nobody_is_certified_for_every_address(authority: Authority) -> None:
    other = read_other_ca(other_ca().public_bytes(Encoding.DER), NOW)

    with pytest.raises(ProfileRefused, match="permitted_domains"):
        certified(authority, other, frozenset())


def test_an_issuing_ca_vouches_for_nobody(authority: Authority) -> None:
    ends = authority.issuer.certificate.not_valid_after_utc
    profile = issuing_profile(KeyAlgorithm.RSA_2048, DOMAINS, ends, NOW)
    other = read_other_ca(other_ca().public_bytes(Encoding.DER), NOW)

    with pytest.raises(ProfileRefused):
        cross_certify(authority.issuer, profile, other, NOW)


@pytest.mark.parametrize(
    ("deviating", "flaw"),
    [
        (lambda: other_ca(not_after=NOW), ImportFlaw.EXPIRED),
        (lambda: other_ca(not_before=NOW + YEAR), ImportFlaw.NOT_YET_VALID),
        (
            lambda: other_ca(constraints=x509.BasicConstraints(ca=False, path_length=None)),
            ImportFlaw.NOT_A_CA,
        ),
        (lambda: other_ca(identified=False), ImportFlaw.KEY_IDENTIFIER),
        (
            lambda: Stranger("Other").certify(
                NAME.distinguished_name,
                rsa.generate_private_key(65537, 1024).public_key(),  # noqa: S505 - that is the point
            ),
            ImportFlaw.WEAK_KEY,
        ),
    ],
)
def test_what_is_no_ca_for_mail_is_refused(
    deviating: Callable[[], x509.Certificate], flaw: ImportFlaw
) -> None:
    with pytest.raises(IssuerRefused) as refused:
        read_other_ca(deviating().public_bytes(Encoding.PEM), NOW)

    assert refused.value.code == flaw


def test_a_key_that_is_known_by_another_identifier_is_refused() -> None:
    theirs = other_ca(identified=False, more=x509.SubjectKeyIdentifier(bytes(20)))

    with pytest.raises(KeyRefused) as refused:
        read_other_ca(theirs.public_bytes(Encoding.DER), NOW)

    assert refused.value.code == "request.identifier"


@pytest.mark.parametrize("file", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_neither_certificate_nor_request_is_refused(file: bytes) -> None:
    with pytest.raises(KeyRefused):
        read_other_ca(file, NOW)
