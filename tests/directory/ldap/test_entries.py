"""Entries and what they look like on the wire."""

from directory.ldap.attributes import CN, MAIL, UID, USER_CERTIFICATE
from directory.ldap.entries import Entry
from directory.ldap.responses import write_entry
from directory.ldap.selection import Selection
from tests.directory.ldap.memory import a_person, der_of
from tests.directory.ldap.wire import CERTIFICATE, ReadEntry, responses


def alice() -> Entry:
    return a_person("Alice+tag@example.com")


def shown(entry: Entry, *requested: str, types_only: bool = False) -> ReadEntry:
    selection = Selection.of(requested, types_only=types_only)
    (read,) = responses(write_entry(1, entry.written(selection)))
    assert isinstance(read, ReadEntry)
    return read


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
    assert alice().values(USER_CERTIFICATE) == (der_of("Alice+tag@example.com"),)
