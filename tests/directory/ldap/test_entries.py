"""Entries and what they look like on the wire."""

from ca.address import Mailbox
from directory.ldap.attributes import CN, MAIL, UID, USER_CERTIFICATE
from directory.ldap.entries import Entry, person_entry
from directory.ldap.responses import write_entry
from directory.ldap.selection import Selection
from tests.directory.ldap.wire import CERTIFICATE, ReadEntry, responses

ALICE = Mailbox.parse("Alice+tag@example.com")


def alice() -> Entry:
    return person_entry("ou=people,o=directory", ALICE, b"\x30\x00")


def shown(entry: Entry, *requested: str, types_only: bool = False) -> ReadEntry:
    selection = Selection.of(requested, types_only=types_only)
    (read,) = responses(write_entry(1, entry.written(selection)))
    assert isinstance(read, ReadEntry)
    return read


def test_a_recipient_is_a_person_with_a_certificate_below_people() -> None:
    assert shown(alice()) == ReadEntry(
        message_id=1,
        name=r"mail=Alice\+tag@example.com,ou=people,o=directory",
        attributes={
            "objectClass": [b"top", b"person", b"organizationalPerson", b"inetOrgPerson", b"pkiUser"],
            "cn": [b"Alice+tag@example.com"],
            "sn": [b"Alice+tag@example.com"],
            "mail": [b"Alice+tag@example.com"],
            CERTIFICATE: [b"\x30\x00"],
        },
    )


def test_types_only_shows_names_and_no_values() -> None:
    assert shown(alice(), "mail", "USERCERTIFICATE", types_only=True).attributes == {
        "mail": [],
        CERTIFICATE: [],
    }


def test_every_entry_tells_where_its_schema_is_when_asked() -> None:
    assert shown(alice(), "+").attributes == {"subschemaSubentry": [b"cn=Subschema"]}


def test_no_attributes_is_an_entry_all_the_same() -> None:
    assert shown(alice(), "1.1").attributes == {}


def test_values_of_an_attribute_that_is_not_there_are_none() -> None:
    assert alice().values(UID) == ()
    assert alice().values(MAIL) == alice().values(CN)
    assert alice().values(USER_CERTIFICATE) == (b"\x30\x00",)
