"""A certificate from elsewhere makes our key an issuing CA, or is refused for one clear reason."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.errors import IssuerRefused
from ca.issuerimport import Import, ImportFlaw, chain_above, cross_chain_above, fingerprint, read_certificates
from ca.keys import KeyAlgorithm, generate, same_key
from ca.profiles import Purpose, key_usage
from tests.builders import NOW
from tests.ca.strangers import MAIL, YEAR, Stranger

OURS = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Our Issuing CA")])
KEY = generate(KeyAlgorithm.RSA_2048)
ROOT = Stranger("Root")
POLICY = Stranger("Policy CA", ROOT)


def ours(**deviations: object) -> x509.Certificate:
    return POLICY.certify(OURS, KEY.public_key(), **deviations)  # type: ignore[arg-type]


def imported(
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate] = (POLICY.certificate, ROOT.certificate),
    root: x509.Certificate = ROOT.certificate,
) -> tuple[x509.Certificate, ...]:
    brought = Import(
        certificate=certificate, key=KEY.public_key(), others=others, trusted={fingerprint(root)}
    )
    return chain_above(brought, NOW)


def below(**deviations: object) -> tuple[x509.Certificate, ...]:
    """Import from a CA of somebody else's that deviates."""
    policy = Stranger("Other Policy CA", ROOT, **deviations)
    return imported(policy.certify(OURS, KEY.public_key()), (policy.certificate, ROOT.certificate))


OWN = Stranger("Our Own Root").certify(OURS, KEY.public_key())


def crossed(certificate: x509.Certificate, *more: x509.Certificate, cas_below: int = 0) -> object:
    """Import a further certificate of a CA that has one."""
    brought = Import(
        certificate=certificate,
        key=KEY.public_key(),
        others=(POLICY.certificate, ROOT.certificate, *more),
        trusted={fingerprint(ROOT.certificate)},
        cas_below=cas_below,
    )
    return cross_chain_above(brought, OWN, NOW)


@cache
def constrained_root() -> Stranger:
    return Stranger("Narrow Root", constraints=x509.BasicConstraints(ca=True, path_length=1))


def too_long() -> object:
    root = constrained_root()
    policy = Stranger("Policy CA of narrow", root)
    return imported(
        policy.certify(OURS, KEY.public_key()), (policy.certificate, root.certificate), root.certificate
    )


def test_the_chain_is_found_among_many_whatever_their_order() -> None:
    unrelated = Stranger("Somebody").certificate

    chain = imported(ours(extended=MAIL), (ROOT.certificate, unrelated, POLICY.certificate))

    assert chain == (POLICY.certificate, ROOT.certificate)


def test_a_root_with_room_for_one_certifies_ours_directly() -> None:
    root = constrained_root()

    assert imported(root.certify(OURS, KEY.public_key()), (root.certificate,), root.certificate) == (
        root.certificate,
    )


def test_of_two_ways_the_trusted_one_is_taken() -> None:
    """The policy CA was certified by a root that nobody here trusts as well."""
    other = Stranger("Unknown Root")
    crossed = other.certify(POLICY.name, POLICY.key.public_key())

    chain = imported(ours(), (crossed, other.certificate, POLICY.certificate, ROOT.certificate))

    assert chain == (POLICY.certificate, ROOT.certificate)


def self_signed() -> object:
    """The CA renews its own certificate, which nobody else has signed."""
    name = Stranger("Our Issuing CA")
    return crossed(name.certify(OURS, KEY.public_key(), signing_key=KEY))


def by_itself() -> object:
    """A CA that ours has certified, and that nobody else vouches for, vouches for ours."""
    friend = Stranger("Friend")
    friend_by_us = Stranger("Our Issuing CA").certify(friend.name, friend.key.public_key(), signing_key=KEY)
    ours_by_us = POLICY.certify(OURS, KEY.public_key())
    return crossed(friend.certify(OURS, KEY.public_key()), friend_by_us, ours_by_us)


def test_a_cross_certificate_is_of_the_same_name_and_key_and_identifier() -> None:
    assert crossed(ours(), OWN) == (POLICY.certificate, ROOT.certificate)
    one_below = x509.BasicConstraints(ca=True, path_length=1)
    assert crossed(ours(constraints=one_below), cas_below=1) == (POLICY.certificate, ROOT.certificate)


SIMILAR = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "our issuing CA")])
IDENTIFIER = x509.SubjectKeyIdentifier(bytes(20))
NO_CA = x509.BasicConstraints(ca=False, path_length=None)
ONLY_KEYS = key_usage(Purpose.RECIPIENT_ENCRYPTION, KeyAlgorithm.RSA_2048)
SERVERS = ExtendedKeyUsageOID.SERVER_AUTH
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.9"), b"\x05\x00")
DIRECTORIES = x509.NameConstraints(permitted_subtrees=[x509.DirectoryName(OURS)], excluded_subtrees=None)
WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
SOON = NOW + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("brought", "flaw"),
    [
        (lambda: imported(ours(not_before=SOON)), ImportFlaw.NOT_YET_VALID),
        (lambda: imported(ours(not_after=NOW)), ImportFlaw.EXPIRED),
        (lambda: imported(POLICY.certify(OURS, ROOT.key.public_key())), ImportFlaw.KEY_MISMATCH),
        (lambda: imported(ours(constraints=NO_CA)), ImportFlaw.NOT_A_CA),
        (lambda: imported(ours(constraints=None)), ImportFlaw.NOT_A_CA),
        (lambda: imported(ours(usage=ONLY_KEYS)), ImportFlaw.KEY_USAGE),
        (lambda: imported(ours(usage=None)), ImportFlaw.KEY_USAGE),
        (lambda: imported(ours(extended=SERVERS)), ImportFlaw.EXTENDED_KEY_USAGE),
        (lambda: imported(ours(identified=False)), ImportFlaw.KEY_IDENTIFIER),
        (lambda: imported(ours(more=UNKNOWN)), ImportFlaw.CRITICAL_EXTENSION),
        (lambda: imported(ours(more=DIRECTORIES)), ImportFlaw.NAME_CONSTRAINTS),
        (lambda: imported(ours(digest=hashes.SHA224())), ImportFlaw.WEAK_SIGNATURE),
        (lambda: imported(ours(not_after=NOW + 20 * YEAR)), ImportFlaw.OUTLIVES),
        (lambda: imported(ours(signing_key=ROOT.key)), ImportFlaw.SIGNATURE),
        (lambda: imported(ours(), ()), ImportFlaw.INCOMPLETE),
        (lambda: imported(ours(), (POLICY.certificate,)), ImportFlaw.INCOMPLETE),
        (lambda: imported(ours(), root=POLICY.certificate), ImportFlaw.UNTRUSTED),
        (lambda: below(not_after=NOW), ImportFlaw.EXPIRED),
        (lambda: below(constraints=NO_CA), ImportFlaw.NOT_A_CA),
        (
            lambda: below(constraints=x509.BasicConstraints(ca=True, path_length=0)),
            ImportFlaw.PATH_LENGTH,
        ),
        (lambda: below(extended=SERVERS), ImportFlaw.EXTENDED_KEY_USAGE),
        (lambda: below(digest=hashes.SHA224()), ImportFlaw.WEAK_SIGNATURE),
        (too_long, ImportFlaw.PATH_LENGTH),
        (
            lambda: crossed(ours(constraints=x509.BasicConstraints(ca=True, path_length=0)), cas_below=1),
            ImportFlaw.PATH_LENGTH,
        ),
        (lambda: crossed(POLICY.certify(SIMILAR, KEY.public_key())), ImportFlaw.OTHER_NAME),
        (lambda: crossed(ours(identified=False, more=IDENTIFIER)), ImportFlaw.OTHER_IDENTIFIER),
        (self_signed, ImportFlaw.SELF_ISSUED),
        (by_itself, ImportFlaw.INCOMPLETE),
    ],
)
def test_what_cannot_be_used_is_refused_for_its_reason(
    brought: Callable[[], object], flaw: ImportFlaw
) -> None:
    with pytest.raises(IssuerRefused) as refused:
        brought()

    assert refused.value.code == flaw


@pytest.mark.parametrize("key", [WEAK.public_key(), ec.generate_private_key(ec.SECP384R1()).public_key()])
def test_a_key_that_is_weak_or_of_a_kind_we_do_not_use_is_refused(
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
) -> None:
    brought = Import(
        certificate=POLICY.certify(OURS, key),
        key=key,
        others=(POLICY.certificate, ROOT.certificate),
        trusted={fingerprint(ROOT.certificate)},
    )

    with pytest.raises(IssuerRefused) as refused:
        chain_above(brought, NOW)

    assert refused.value.code == ImportFlaw.WEAK_KEY


def test_an_untrusted_root_is_told_by_its_fingerprint() -> None:
    with pytest.raises(IssuerRefused, match=fingerprint(ROOT.certificate).hex()):
        imported(ours(), root=POLICY.certificate)


def test_certificates_are_read_in_both_forms() -> None:
    several = b"".join(one.public_bytes(Encoding.PEM) for one in (POLICY.certificate, ROOT.certificate))

    assert read_certificates(several) == [POLICY.certificate, ROOT.certificate]
    (read,) = read_certificates(ROOT.certificate.public_bytes(Encoding.DER))
    assert same_key(read.public_key(), ROOT.key.public_key())


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"nonsense",
        ROOT.certificate.public_bytes(Encoding.DER)[:-9],
        ROOT.certificate.public_bytes(Encoding.PEM)[:-99],
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_is_no_certificate_or_corrupt_is_refused(file: bytes) -> None:
    with pytest.raises(IssuerRefused) as refused:
        read_certificates(file)

    assert refused.value.code == ImportFlaw.UNREADABLE


def test_every_flaw_has_a_test_or_is_found_by_the_directory(request: pytest.FixtureRequest) -> None:
    (marker,) = request.node.parent.obj.test_what_cannot_be_used_is_refused_for_its_reason.pytestmark
    tested = {flaw for _, flaw in marker.args[1]} | {ImportFlaw.WEAK_KEY, ImportFlaw.UNREADABLE}

    assert tested | {ImportFlaw.NAME_TAKEN} == set(ImportFlaw)
