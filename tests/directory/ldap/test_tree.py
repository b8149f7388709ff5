"""The tree: what every base and scope covers, and which names are not there."""

import pytest

from directory.errors import ConfigurationRefused
from directory.ldap.attributes import SUPPORTED_SASL_MECHANISMS
from directory.ldap.codes import SearchScope
from directory.ldap.names import parse_name
from directory.ldap.settings import Presentation, SmimeForm, StartTls
from directory.ldap.tree import Covered, NoSuchObject, OneRecipient, Recipients, Tree
from tests.builders import Authority
from tests.directory.ldap.authorities import published

BASE, ONE, SUBTREE = SearchScope
SUFFIX = "dc=example,dc=com"
PEOPLE = f"ou=people,{SUFFIX}"
GATEWAYS = f"ou=gateways,{SUFFIX}"
NONE, ASKED = Recipients.NONE, Recipients.ASKED


def tree(suffix: str = SUFFIX, start_tls: StartTls = StartTls.OFFERED) -> Tree:
    return Tree(suffix, start_tls)


@pytest.mark.parametrize(
    ("base", "scope", "names", "recipients"),
    [
        ("", BASE, [""], NONE),
        ("", ONE, [SUFFIX, PEOPLE, GATEWAYS], ASKED),
        ("", SUBTREE, [SUFFIX, PEOPLE, GATEWAYS], ASKED),
        ("cn=Subschema", BASE, ["cn=Subschema"], NONE),
        ("CN=subschema", SUBTREE, ["cn=Subschema"], NONE),
        ("cn=Subschema", ONE, [], NONE),
        (SUFFIX, BASE, [SUFFIX], NONE),
        (SUFFIX, ONE, [PEOPLE, GATEWAYS], NONE),
        (SUFFIX, SUBTREE, [SUFFIX, PEOPLE, GATEWAYS], ASKED),
        ("DC=Example, DC=COM", SUBTREE, [SUFFIX, PEOPLE, GATEWAYS], ASKED),
        (PEOPLE, BASE, [PEOPLE], NONE),
        (PEOPLE, ONE, [], ASKED),
        (PEOPLE, SUBTREE, [PEOPLE], ASKED),
        (GATEWAYS, BASE, [GATEWAYS], NONE),
        (GATEWAYS, ONE, [], NONE),
        (GATEWAYS, SUBTREE, [GATEWAYS], NONE),
    ],
)
def test_what_a_base_and_a_scope_cover(
    base: str, scope: SearchScope, names: list[str], recipients: Recipients
) -> None:
    extent = tree().extent(parse_name(base), scope)

    assert isinstance(extent, Covered)
    assert [entry.name for entry in extent.fixed] == names
    assert extent.recipients is recipients


@pytest.mark.parametrize(("scope", "covered"), [(BASE, True), (ONE, False), (SUBTREE, True)])
@pytest.mark.parametrize(
    "name",
    [r"mail=alice\+x@example.com", "MAIL = Alice\\2bx@example.com", r"rfc822Mailbox=alice\+x@example.com"],
)
def test_a_recipients_name_is_a_base_too(name: str, scope: SearchScope, *, covered: bool) -> None:
    extent = tree().extent(parse_name(f"{name},{PEOPLE}"), scope)

    assert isinstance(extent, OneRecipient)
    assert extent.name.addressee.key == "alice+x@example.com"
    assert extent.covered is covered


@pytest.mark.parametrize(
    ("base", "matched"),
    [
        ("o=nowhere", ""),
        ("dc=com", ""),
        (f"ou=staff,{SUFFIX}", SUFFIX),
        (f"mail=no-address,{PEOPLE}", PEOPLE),
        (f"cn=alice@example.com,{PEOPLE}", PEOPLE),
        (f"mail=a@example.com+cn=a,{PEOPLE}", PEOPLE),
        (f"cn=x,mail=a@example.com,{PEOPLE}", PEOPLE),
        (f"cn=gw,{GATEWAYS}", GATEWAYS),
        (f"mail=a@example.com,{SUFFIX}", SUFFIX),
        ("cn=x,cn=Subschema", "cn=Subschema"),
    ],
)
def test_other_names_are_not_there_as_far_as_they_match(base: str, matched: str) -> None:
    extent = tree().extent(parse_name(base), SUBTREE)

    assert isinstance(extent, NoSuchObject)
    assert parse_name(extent.matched_name) == parse_name(matched)


@pytest.mark.parametrize(
    ("name", "gateway"),
    [
        (f"cn=gw,{GATEWAYS}", "gw"),
        ("CN=GW,OU=Gateways,DC=example,DC=com", "GW"),
        (f"2.5.4.3=gw,{GATEWAYS}", "gw"),
        (GATEWAYS, None),
        (f"cn=gw,{PEOPLE}", None),
        (f"cn=gw+sn=x,{GATEWAYS}", None),
        (f"uid=gw,{GATEWAYS}", None),
        (f"cn=gw,cn=gw,{GATEWAYS}", None),
        ("", None),
    ],
)
def test_tells_which_gateway_binds_under_a_name(name: str, gateway: str | None) -> None:
    assert tree().gateway_named(parse_name(name)) == gateway


def test_a_gateways_name_is_found_again() -> None:
    subject = tree()

    assert subject.gateway_named(parse_name(subject.gateway_name("mail relay, 2"))) == "mail relay, 2"


def test_each_client_sees_the_mechanisms_that_it_can_use() -> None:
    offering = tree().offering(("EXTERNAL", "PLAIN"))
    extent = offering.extent(parse_name(""), BASE)
    assert isinstance(extent, Covered)
    (entry,) = extent.fixed

    assert entry.values(SUPPORTED_SASL_MECHANISMS) == (b"EXTERNAL", b"PLAIN")
    assert tree().offering(()) is not offering


def test_authorities_are_shown_below_the_empty_base_and_at_their_names(authority: Authority) -> None:
    subject = Tree(SUFFIX, StartTls.OFFERED, authorities=published(authority))
    root = "CN=Example Root 2026,O=Example"

    below = subject.extent(parse_name(""), SUBTREE)
    at_its_name = [subject.extent(parse_name(root.lower()), scope) for scope in SearchScope]

    assert isinstance(below, Covered)
    assert [entry.name for entry in below.fixed] == [
        *(SUFFIX, PEOPLE, GATEWAYS),
        *("CN=Example Issuing CA 2026,O=Example", root),
    ]
    assert [
        [entry.name for entry in extent.fixed] for extent in at_its_name if isinstance(extent, Covered)
    ] == [
        [root],
        [],
        [root],
    ]


def test_what_is_offered_is_the_same_tree_otherwise(authority: Authority) -> None:
    presentation = Presentation(smime=SmimeForm.OFF)
    subject = Tree(SUFFIX, StartTls.OFFERED, presentation=presentation, authorities=published(authority))

    offering = subject.offering(("PLAIN",))

    assert offering.presentation is presentation
    assert isinstance(offering.extent(parse_name("CN=Example Root 2026,O=Example"), BASE), Covered)
    assert offering.offering(("PLAIN",)) is offering


@pytest.mark.parametrize("suffix", ["", "directory", "cn=directory", "o=a+ou=b", "uid=x,o=y"])
def test_other_suffixes_are_refused(suffix: str) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        tree(suffix)

    assert refused.value.key == "directory.suffix"
