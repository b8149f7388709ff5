"""Filters over an entry, in three-valued logic."""

import time

import pytest

from directory.ldap.ber import Reader, element
from directory.ldap.filters import DEEPEST, read_filter
from directory.ldap.matching import Truth, matches
from tests.directory.ldap.memory import a_person
from tests.directory.ldap.wire import (
    and_,
    assertion,
    equals,
    extensible,
    mail,
    nested,
    not_,
    or_,
    present,
    substrings,
)

TRUE, FALSE, UNDEFINED = Truth.TRUE, Truth.FALSE, Truth.UNDEFINED
YES, NO, MAYBE = present("cn"), present("uid"), present("anr")


def truth(written: bytes, address: str = "alice@example.com") -> Truth:
    return matches(read_filter(Reader(written)), a_person(address))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (mail(), TRUE),
        (mail("ALICE@EXAMPLE.com"), TRUE),
        (mail(" alice@example.com  "), TRUE),
        (equals("rfc822Mailbox", "alice@example.com"), TRUE),
        (equals("0.9.2342.19200300.100.1.3", "alice@example.com"), TRUE),
        (mail("bob@example.com"), FALSE),
        (mail("alice@exämple.com"), FALSE),
        (mail("älice@example.com"), FALSE),
        (mail("a\u0308lice@example.com"), UNDEFINED),
        (mail(b"\xff"), UNDEFINED),
        (mail("al ice@example.com"), FALSE),
        (equals("cn", "Alice@Example.com"), TRUE),
        (equals("uid", "alice"), FALSE),
        (equals("anr", "alice"), UNDEFINED),
        (equals("mail;binary", "alice@example.com"), UNDEFINED),
        (equals("objectClass", "inetOrgPerson"), TRUE),
        (equals("objectclass", "INETORGPERSON"), TRUE),
        (equals("objectClass", "2.16.840.1.113730.3.2.2"), TRUE),
        (equals("objectClass", "organization"), FALSE),
        (equals("objectClass", "printer"), UNDEFINED),
        (equals("objectClass", b"\xff"), UNDEFINED),
        (equals("subschemaSubentry", "CN=subschema"), TRUE),
        (equals("subschemaSubentry", "o=x"), FALSE),
        (equals("subschemaSubentry", "no name"), UNDEFINED),
        (equals("userCertificate", b"\x30\x00"), UNDEFINED),
        (present("mail"), TRUE),
        (present("uid"), FALSE),
        (present("anr"), UNDEFINED),
        (present("userCertificate"), TRUE),
        (present("userCertificate;binary"), TRUE),
        (present("objectClass"), TRUE),
        (assertion(0xA8, "mail", "alice@example.com"), TRUE),  # approximately
        (assertion(0xA5, "mail", "a"), UNDEFINED),
        (assertion(0xA6, "mail", "z"), UNDEFINED),
        (element(0xAC, b""), UNDEFINED),
    ],
)
def test_comparisons(written: bytes, expected: Truth) -> None:
    assert truth(written) is expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (substrings("mail", initial="alice"), TRUE),
        (substrings("mail", initial="ALICE@"), TRUE),
        (substrings("mail", final="example.com"), TRUE),
        (substrings("mail", "ice@ex"), TRUE),
        (substrings("mail", "ice", "ex", initial="al", final="com"), TRUE),
        (substrings("mail", "ex", "ice"), FALSE),
        (substrings("mail", initial="alice@example.com", final="com"), FALSE),  # would overlap
        (substrings("mail", initial="alice@", final="example.com"), TRUE),
        (substrings("mail", initial="bob"), FALSE),
        (substrings("uid", initial="a"), FALSE),
        (substrings("anr", initial="a"), UNDEFINED),
        (substrings("objectClass", initial="inet"), UNDEFINED),
        (substrings("cn", "alice@example.com", ""), TRUE),
    ],
)
def test_substrings(written: bytes, expected: Truth) -> None:
    assert truth(written) is expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (extensible("alice@example.com", attribute="mail"), TRUE),
        (extensible("ALICE@example.com", attribute="mail", rule="caseIgnoreIA5Match"), TRUE),
        (extensible("alice@example.com", attribute="mail", rule="1.3.6.1.4.1.1466.109.114.2"), TRUE),
        (extensible("alice@example.com", attribute="mail", rule="caseExactMatch"), UNDEFINED),
        (extensible("alice@example.com", rule="caseIgnoreIA5Match"), UNDEFINED),
        (extensible("x", attribute="anr"), UNDEFINED),
        (extensible("x", attribute="certificateRevocationList"), UNDEFINED),
        (extensible("people", attribute="ou"), FALSE),
        (extensible("people", attribute="ou", dn_attributes=True), TRUE),
        (extensible("staff", attribute="ou", dn_attributes=True), FALSE),
    ],
)
def test_extensible_matches(written: bytes, expected: Truth) -> None:
    assert truth(written) is expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (and_(), TRUE),
        (or_(), FALSE),
        (and_(YES, YES), TRUE),
        (and_(YES, MAYBE), UNDEFINED),
        (and_(MAYBE, NO), FALSE),
        (and_(NO, MAYBE), FALSE),
        (or_(NO, NO), FALSE),
        (or_(NO, MAYBE), UNDEFINED),
        (or_(MAYBE, YES), TRUE),
        (not_(YES), FALSE),
        (not_(NO), TRUE),
        (not_(MAYBE), UNDEFINED),
        (not_(and_(YES, MAYBE)), UNDEFINED),
    ],
)
def test_three_valued_logic(written: bytes, expected: Truth) -> None:
    assert truth(written) is expected


def test_a_domain_in_u_labels_matches_the_same_in_a_labels() -> None:
    assert truth(mail("Alice@bücher.example"), "alice@xn--bcher-kva.example") is TRUE


def test_the_deepest_filter_is_evaluated() -> None:
    expected = TRUE if (DEEPEST - 1) % 2 == 0 else FALSE

    assert truth(nested(DEEPEST - 1)) is expected


@pytest.mark.parametrize("attribute", ["mail", "cn", "objectClass", "subschemaSubentry"])
@pytest.mark.parametrize("piece", [b" ", b"a ", b"\xcc\x81\xcc\xa3", b"@", b"\xff", b"cn=", b"xn--a."])
def test_64_kib_values_take_no_time(attribute: str, piece: bytes) -> None:
    value = piece * (64 * 1024 // len(piece))
    began = time.process_time()
    result = truth(or_(equals(attribute, value), extensible("x", attribute=attribute)))

    assert result is not TRUE
    assert time.process_time() - began < 0.05
