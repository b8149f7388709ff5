"""The entries that are always there: what clients read in the root DSE, the schema and the containers."""

import pytest

from directory.ldap.attributes import OBJECT_CLASS, OU
from directory.ldap.codes import START_TLS
from directory.ldap.fixed_entries import context_entry, root_entry, subschema_entry, unit_entry
from directory.ldap.responses import write_entry
from directory.ldap.selection import Selection
from directory.ldap.settings import StartTls
from tests.directory.ldap.wire import ReadEntry, responses

SUFFIX = "dc=example,dc=com"


def root(start_tls: StartTls = StartTls.OFFERED, mechanisms: tuple[str, ...] = ()) -> dict[str, list[bytes]]:
    entry = root_entry(SUFFIX, start_tls, mechanisms)
    (read,) = responses(write_entry(1, entry.written(Selection.of(("*", "+"), types_only=False))))
    assert isinstance(read, ReadEntry)
    return dict(read.attributes)


def test_the_root_dse_says_what_clients_look_for() -> None:
    attributes = root()

    assert attributes["objectClass"] == [b"top"]
    assert attributes["namingContexts"] == [SUFFIX.encode()]
    assert attributes["supportedLDAPVersion"] == [b"3"]
    assert attributes["subschemaSubentry"] == [b"cn=Subschema"]
    assert b"1.3.6.1.4.1.4203.1.5.1" in attributes["supportedFeatures"]
    assert START_TLS.encode() in attributes["supportedExtension"]
    assert b"1.3.6.1.1.8" in attributes["supportedExtension"]
    assert attributes["supportedControl"] == [b"2.16.840.1.113730.3.4.2", b"1.2.840.113556.1.4.319"]
    assert "supportedSASLMechanisms" not in attributes


def test_the_root_dse_names_the_mechanisms_that_can_be_used() -> None:
    assert root(mechanisms=("EXTERNAL", "PLAIN"))["supportedSASLMechanisms"] == [b"EXTERNAL", b"PLAIN"]


def test_the_root_dse_does_not_promise_start_tls_without_a_certificate() -> None:
    assert START_TLS.encode() not in root(StartTls.UNAVAILABLE)["supportedExtension"]


@pytest.mark.parametrize(
    ("suffix", "classes"),
    [
        ("o=directory", (b"top", b"organization")),
        ("ou=pki,o=directory", (b"top", b"organizationalUnit")),
        ("dc=example,dc=com", (b"top", b"domain", b"dcObject")),
    ],
)
def test_the_naming_context_is_an_organization_a_unit_or_a_domain(
    suffix: str, classes: tuple[bytes, ...]
) -> None:
    assert context_entry(suffix).values(OBJECT_CLASS) == classes


def test_containers_are_units() -> None:
    entry = unit_entry("ou=people,o=directory", "people")

    assert entry.values(OBJECT_CLASS) == (b"top", b"organizationalUnit")
    assert entry.values(OU) == (b"people",)


@pytest.mark.parametrize(
    "name",
    [
        *("mail", "cn", "sn", "givenName", "displayName", "uid", "o", "ou", "dc", "description"),
        *("userCertificate", "userSMIMECertificate", "cACertificate", "certificateRevocationList"),
        *("authorityRevocationList", "crossCertificatePair", "objectClass"),
        *("top", "person", "organizationalPerson", "inetOrgPerson", "pkiUser", "pkiCA"),
        *("organization", "organizationalUnit", "organizationalRole", "dcObject", "domain"),
    ],
)
def test_the_schema_describes_what_clients_check_before_they_ask(name: str) -> None:
    described = b" ".join(value for values in subschema_entry().attributes.values() for value in values)

    assert f"'{name}'".encode() in described
