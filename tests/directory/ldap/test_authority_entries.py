"""The entries of certification authorities: names, values, and when they are made anew."""

from cryptography.x509.oid import NameOID

from directory.authorities import PublishedAuthority
from directory.ldap.attributes import (
    AUTHORITY_REVOCATION_LIST,
    CA_CERTIFICATE,
    CERTIFICATE_REVOCATION_LIST,
    CN,
    OBJECT_CLASS,
)
from directory.ldap.authority_entries import AuthorityEntries
from directory.ldap.names import parse_name
from tests.builders import Authority
from tests.directory.ldap.authorities import Board, der, published, self_signed


def an_authority(certificate: bytes, *, crl: bytes | None = b"crl") -> PublishedAuthority:
    return PublishedAuthority(certificate=certificate, is_root=False, crl=crl)


def test_an_issuing_ca_has_its_certificate_and_its_list(authority: Authority) -> None:
    shown = AuthorityEntries(published(authority)).shown()

    entry = shown.by_name[parse_name("CN=Example Issuing CA 2026,O=Example")]
    assert entry.name == "CN=Example Issuing CA 2026,O=Example"
    assert entry.values(OBJECT_CLASS) == (b"top", b"organizationalRole", b"pkiCA")
    assert entry.values(CN) == (b"Example Issuing CA 2026",)
    assert entry.values(CA_CERTIFICATE) == (der(authority.issuer.certificate),)
    assert entry.values(CERTIFICATE_REVOCATION_LIST) == (b"crl",)
    assert entry.values(AUTHORITY_REVOCATION_LIST) == ()


def test_a_roots_list_is_under_both_names_clients_look_for(authority: Authority) -> None:
    shown = AuthorityEntries(published(authority)).shown()

    entry = shown.by_name[parse_name("cn=example root 2026, o=EXAMPLE")]
    assert entry.values(CA_CERTIFICATE) == (der(authority.root.certificate),)
    assert entry.values(CERTIFICATE_REVOCATION_LIST) == (b"arl",)
    assert entry.values(AUTHORITY_REVOCATION_LIST) == (b"arl",)


def test_without_a_list_there_is_no_such_attribute() -> None:
    certificate = self_signed((NameOID.COMMON_NAME, "CA"))

    (entry,) = AuthorityEntries(Board((an_authority(certificate, crl=None),))).shown().entries

    assert CERTIFICATE_REVOCATION_LIST not in entry.attributes


def test_a_name_that_does_not_begin_with_cn_is_known_from_there_too() -> None:
    certificate = self_signed(
        (NameOID.COUNTRY_NAME, "DE"), (NameOID.COMMON_NAME, "CA 1"), (NameOID.ORGANIZATIONAL_UNIT_NAME, "PKI")
    )
    shown = AuthorityEntries(Board((an_authority(certificate),))).shown()

    assert {entry.name for entry in shown.by_name.values()} == {"OU=PKI,CN=CA 1,C=DE", "CN=CA 1,C=DE"}
    assert [entry.name for entry in shown.entries] == ["OU=PKI,CN=CA 1,C=DE"]
    assert shown.by_name[parse_name("CN=CA 1,C=DE")].values(CA_CERTIFICATE) == (certificate,)


def test_names_in_hexadecimal_and_by_identifier_are_the_same() -> None:
    certificate = self_signed(
        (NameOID.ORGANIZATION_NAME, "Example"), (NameOID.SERIAL_NUMBER, "42"), (NameOID.COMMON_NAME, "CA")
    )
    shown = AuthorityEntries(Board((an_authority(certificate),))).shown()

    for name in ("CN=CA,2.5.4.5=#13023432,O=Example", "cn=ca,serialNumber=42,2.5.4.10=example"):
        assert shown.by_name[parse_name(name)].values(CA_CERTIFICATE) == (certificate,)


def test_keys_of_one_name_share_an_entry() -> None:
    old, new = (self_signed((NameOID.COMMON_NAME, "CA")) for _ in range(2))

    (entry,) = (
        AuthorityEntries(Board((an_authority(old, crl=b"1"), an_authority(new, crl=b"2")))).shown().entries
    )

    assert entry.values(CA_CERTIFICATE) == (old, new)
    assert entry.values(CERTIFICATE_REVOCATION_LIST) == (b"1", b"2")


def test_cross_certificates_follow_the_cas_own_at_both_names() -> None:
    own, by_another = (
        self_signed((NameOID.COMMON_NAME, "CA 1"), (NameOID.ORGANIZATIONAL_UNIT_NAME, "PKI"))
        for _ in range(2)
    )
    authority = PublishedAuthority(certificate=own, is_root=False, crl=None, cross_certificates=(by_another,))

    shown = AuthorityEntries(Board((authority,))).shown()

    for name in ("OU=PKI,CN=CA 1", "CN=CA 1"):
        assert shown.by_name[parse_name(name)].values(CA_CERTIFICATE) == (own, by_another)


def test_entries_are_made_anew_when_something_else_is_published_and_only_then() -> None:
    certificate = self_signed((NameOID.COMMON_NAME, "CA"))
    board = Board((an_authority(certificate, crl=b"1"),))
    entries = AuthorityEntries(board)
    first = entries.shown()

    assert entries.shown() is first
    board.published = (an_authority(certificate, crl=b"2"),)
    assert entries.shown().entries[0].values(CERTIFICATE_REVOCATION_LIST) == (b"2",)
