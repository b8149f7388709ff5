"""The entries of a recipient: their names, what is in each, and which names are nobody's."""

import pytest

from ca.address import Mailbox, MailDomain
from directory.authorities import FixedAuthorities
from directory.ldap.attributes import DESCRIPTION, MAIL, USER_CERTIFICATE, USER_SMIME_CERTIFICATE
from directory.ldap.entries import Entry
from directory.ldap.names import parse_name
from directory.ldap.recipients import Aspect, People, parse_addressee
from directory.ldap.selection import Selection
from directory.ldap.settings import Presentation, SmimeForm
from directory.lookup import Found, Minted
from tests.directory.ldap.memory import a_person, der_of, found, minted

PEOPLE = "ou=people,o=directory"
ALICE = Mailbox.parse("alice@example.com")
DER = der_of("alice@example.com")
EVERYTHING = Selection.of((), types_only=False)


def people(smime: SmimeForm = SmimeForm.PKCS7) -> People:
    return People(PEOPLE, Presentation(smime=smime), FixedAuthorities())


def named(name: str, answer: Found | Minted) -> Entry | None:
    recipient = people().named(parse_name(name))
    assert recipient is not None
    return people().entry_named(recipient, answer, EVERYTHING)


def test_a_recipient_is_a_person_with_a_certificate_below_people() -> None:
    entry = a_person("Alice+tag@example.com")

    assert entry.name == rf"mail=Alice\+tag@example.com,{PEOPLE}"
    assert {attribute.names[0]: values for attribute, values in entry.attributes.items()} == {
        "objectClass": (b"top", b"person", b"organizationalPerson", b"inetOrgPerson", b"pkiUser"),
        "cn": (b"Alice+tag@example.com",),
        "sn": (b"Alice+tag@example.com",),
        "mail": (b"Alice+tag@example.com",),
        "userCertificate": (der_of("alice+tag@example.com"),),
        "userSMIMECertificate": (der_of("alice+tag@example.com"),),
        "subschemaSubentry": (b"cn=Subschema",),
    }


def test_the_first_entry_holds_the_preferred_certificate_alone() -> None:
    entry = people().preferred(ALICE, found(further=(b"older",)), EVERYTHING)

    assert entry.values(USER_CERTIFICATE) == (DER,)


def test_the_second_entry_holds_all_others_and_says_so() -> None:
    entry = people().further(ALICE, found(further=(b"older", DER, b"minted", b"older")), EVERYTHING)

    assert entry is not None
    assert parse_name(entry.name) == parse_name(
        f"mail=alice@example.com+description=further certificates,{PEOPLE}"
    )
    assert entry.values(USER_CERTIFICATE) == (b"older", b"minted")
    assert entry.values(DESCRIPTION) == (b"further certificates",)
    assert entry.values(MAIL) == (b"alice@example.com",)


@pytest.mark.parametrize("answer", [found(), minted()])
def test_there_is_no_second_entry_without_others(answer: Found | Minted) -> None:
    assert people().further(ALICE, answer, EVERYTHING) is None


def test_the_entry_at_the_subject_of_the_certificate_holds_all_of_them() -> None:
    name = "CN=Alice@example.com,1.2.840.113549.1.9.1=#1611616c696365406578616d706c652e636f6d"

    entry = named(name, found(further=(b"older",)))

    assert entry is not None
    assert parse_name(entry.name) == parse_name(name)
    assert entry.values(USER_CERTIFICATE) == (DER, b"older")


@pytest.mark.parametrize(
    ("name", "aspect"),
    [
        (f"mail=alice@example.com,{PEOPLE}", Aspect.PREFERRED),
        (f"MAIL= Alice@EXAMPLE.com ,{PEOPLE}", Aspect.PREFERRED),
        (f"mail=alice@example.com+description=further certificates,{PEOPLE}", Aspect.FURTHER),
        (f"DESCRIPTION=Further Certificates+mail=alice@example.com,{PEOPLE}", Aspect.FURTHER),
        ("CN=alice@example.com", Aspect.SUBJECT),
        ("emailAddress=alice@example.com", Aspect.SUBJECT),
        ("CN=alice@example.com,emailAddress=alice@example.com", Aspect.SUBJECT),
        ("E=alice@example.com,CN=Alice@Example.com", Aspect.SUBJECT),
        ("CN=alice@example.com+emailAddress=alice@example.com", Aspect.SUBJECT),
    ],
)
def test_knows_a_recipients_entry_by_its_names(name: str, aspect: Aspect) -> None:
    recipient = people().named(parse_name(name))

    assert recipient is not None
    assert (recipient.addressee.key, recipient.aspect) == ("alice@example.com", aspect)


@pytest.mark.parametrize(
    "name",
    [
        "",
        f"mail=alice,{PEOPLE}",
        f"cn=alice@example.com,{PEOPLE}",
        f"mail=alice@example.com+description=others,{PEOPLE}",
        f"mail=alice@example.com+cn=x,{PEOPLE}",
        f"mail=alice@example.com+mail=bob@example.com,{PEOPLE}",
        f"description=further certificates,{PEOPLE}",
        "CN=Alice",
        "CN=example.com",
        "CN=alice@example.com,O=Example",
        "CN=alice@example.com,emailAddress=bob@example.com",
        "CN=alice@example.com,CN=alice@example.com",
        "CN=alice@example.com,emailAddress=example.com",
        "mail=alice@example.com",
    ],
)
def test_other_names_are_no_recipients(name: str) -> None:
    assert people().named(parse_name(name)) is None


def test_a_domains_entry_is_about_the_domain_whosever_certificate_it_is() -> None:
    domain = MailDomain.parse("example.com")
    authority = found("domain-confidentiality-authority@example.com", further=(b"older",))

    preferred = people().preferred(domain, authority, EVERYTHING)
    further = people().further(domain, authority, EVERYTHING)

    assert preferred.name == f"mail=example.com,{PEOPLE}"
    assert preferred.values(MAIL) == (b"example.com",)
    assert preferred.values(USER_CERTIFICATE) == (authority.certificate.der,)
    assert further is not None
    assert further.values(MAIL) == (b"example.com",)


@pytest.mark.parametrize(
    ("smime", "values"), [(SmimeForm.PKCS7, ()), (SmimeForm.DER, (DER,)), (SmimeForm.OFF, ())]
)
def test_packages_are_made_as_configured_and_only_of_certificates(
    smime: SmimeForm, values: tuple[bytes, ...]
) -> None:
    asked = Selection.of(("userSMIMECertificate",), types_only=False)

    # The octets that stand for a certificate here are none, so that no PKCS #7 can be made of them.
    assert people(smime).preferred(ALICE, found(), asked).values(USER_SMIME_CERTIFICATE) == values


@pytest.mark.parametrize("text", ["alice@example.com", " ALICE@example.com "])
def test_reads_an_address(text: str) -> None:
    addressee = parse_addressee(text)

    assert isinstance(addressee, Mailbox)
    assert addressee.key == "alice@example.com"


@pytest.mark.parametrize("text", ["example.com", "Example.COM "])
def test_reads_a_domain(text: str) -> None:
    assert parse_addressee(text) == MailDomain(domain="example.com")


@pytest.mark.parametrize(
    "text", ["", "alice", "alice@", "@example.com", "*", "alice@example.com bob@example.com"]
)
def test_reads_nothing_else(text: str) -> None:
    assert parse_addressee(text) is None


def test_an_address_beyond_ascii_is_named_and_written_in_utf8() -> None:
    joerg = Mailbox.parse_international("Jörg@example.com")
    for name in (
        f"mail=jörg@EXAMPLE.com,{PEOPLE}",
        rf"mail=j\C3\B6rg@example.com,{PEOPLE}",
        "CN=JöRG@example.com",
    ):
        recipient = people().named(parse_name(name))
        assert recipient is not None
        assert recipient.addressee.key == joerg.key
    entry = people().expected(joerg)
    assert entry.values(MAIL) == ("Jörg@example.com".encode(),)
    assert parse_name(entry.name) == parse_name(f"mail=jörg@example.com,{PEOPLE}")
    assert people().named(parse_name(f"mail=JÖRG@example.com,{PEOPLE}")) != people().named(
        parse_name(entry.name)
    )
