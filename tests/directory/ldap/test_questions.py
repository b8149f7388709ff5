"""Whom a filter asks for, and which shapes may mint."""

import pytest

from ca.address import MailDomain
from directory.ldap.ber import Reader
from directory.ldap.codes import ResultCode
from directory.ldap.errors import RequestRefused
from directory.ldap.filters import read_filter
from directory.ldap.questions import MOST_MINTED, MOST_READ, Asked, Shape, asked_by
from tests.directory.ldap.wire import (
    and_,
    assertion,
    equals,
    extensible,
    mail,
    not_,
    or_,
    present,
    substrings,
)


def asked(written: bytes) -> Asked:
    return asked_by(read_filter(Reader(written)))


def keys(written: bytes) -> list[str]:
    return [addressee.key for addressee in asked(written).addressees]


def many(count: int) -> list[bytes]:
    return [mail(f"p{number}@example.com") for number in range(count)]


PERSON = equals("objectclass", "inetOrgPerson")
DIRECT_CONDITION = or_(present("userCertificate;binary"), present("userCertificate"))


@pytest.mark.parametrize(
    "written",
    [
        mail(),
        mail(" alice@example.com "),
        mail("ALICE@Example.COM"),
        equals("rfc822Mailbox", "alice@example.com"),
        equals("0.9.2342.19200300.100.1.3", "alice@example.com"),
        or_(mail()),
        or_(mail(), equals("rfc822mailbox", "ALICE@example.com")),
        and_(mail()),
        and_(PERSON, mail()),
        and_(mail(), DIRECT_CONDITION),
        and_(present("mail"), PERSON, or_(mail()), present("objectClass")),
        and_(PERSON, and_(PERSON, mail())),
        and_(or_(PERSON, equals("objectClass", "pkiUser")), mail()),
    ],
)
def test_shapes_of_a_certificate_fetch_are_exact(written: bytes) -> None:
    assert asked(written).shape is Shape.EXACT
    assert keys(written) == ["alice@example.com"]


@pytest.mark.parametrize(
    "written",
    [
        or_(mail(), present("cn")),
        or_(mail(), PERSON),
        or_(mail(), or_(mail("bob@example.com"))),
        or_(mail(), and_(mail())),
        and_(mail(), mail("bob@example.com")),
        and_(mail(), equals("cn", "alice@example.com")),
        and_(mail(), not_(present("uid"))),
        and_(mail(), substrings("cn", "a")),
        and_(PERSON, or_(mail(), PERSON)),
        substrings("mail", "alice@example.com"),
        substrings("mail", initial="alice@example.com"),
        substrings("mail", final="alice@example.com"),
        substrings("cn", "alice@example.com"),
        substrings("surname", initial="alice@example.com"),
        equals("cn", "alice@example.com"),
        or_(
            substrings("cn", "alice@example.com"),
            substrings("mail", "alice@example.com", ""),
            substrings("sn", "alice@example.com"),
        ),
        and_(
            present("mail"),
            or_(
                substrings("mail", initial="alice@example.com"),
                or_(substrings("cn", initial="alice@example.com")),
            ),
        ),
    ],
)
def test_other_shapes_that_name_a_complete_address_only_read(written: bytes) -> None:
    assert asked(written).shape is Shape.BROWSING
    assert "alice@example.com" in keys(written)


@pytest.mark.parametrize(
    "written",
    [
        present("mail"),
        present("objectClass"),
        substrings("mail", initial="alice"),
        substrings("mail", "example.com"),
        substrings("mail", initial="alice@", final="example.com"),
        substrings("mail", ""),
        substrings("mail", initial="example.com"),
        substrings("uid", "alice@example.com"),
        equals("uid", "alice@example.com"),
        equals("cn", "example.com"),
        equals("sn", "alice"),
        equals("mail;lang-de", "alice@example.com"),
        not_(mail()),
        and_(PERSON, not_(mail())),
        not_(not_(mail())),
        assertion(0xA5, "mail", "alice@example.com"),
        assertion(0xA6, "mail", "alice@example.com"),
        assertion(0xA8, "mail", "alice@example.com"),
        extensible("alice@example.com", attribute="mail"),
        extensible("alice@example.com", attribute="mail", dn_attributes=True),
        and_(),
        or_(),
    ],
)
def test_other_filters_ask_for_nobody(written: bytes) -> None:
    assert asked(written) == Asked(addressees=(), shape=Shape.BROWSING)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "*",
        ")(mail=*",
        "\\2a",
        "alice",
        "alice@",
        "alice@example.com\0",
        "alice@example.com,bob@example.com",
        "alice@example.com bob@example.com",
        '"alice"@example.com',
        "alice@\u212aelvin.example",
        b"alice@\xff.example",
        "a" * 65 + "@example.com",
    ],
)
def test_a_text_that_is_no_acceptable_address_asks_for_nobody(text: str | bytes) -> None:
    assert asked(mail(text)) == Asked(addressees=(), shape=Shape.EXACT)


def test_a_domain_in_u_labels_asks_for_the_same_recipient_as_in_a_labels() -> None:
    assert keys(or_(mail("alice@bücher.example"), mail("alice@xn--bcher-kva.example"))) == [
        "alice@xn--bcher-kva.example"
    ]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("example.com", "example.com"),
        (" Example.COM ", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_a_bare_domain_asks_for_what_is_bound_to_the_domain(text: str, key: str) -> None:
    (addressee,) = asked(mail(text)).addressees

    assert addressee == MailDomain(domain=key)


def test_each_recipient_is_asked_for_once_in_the_first_spelling() -> None:
    (addressee,) = asked(or_(mail("Alice@example.com"), mail("alice@example.com"))).addressees

    assert str(addressee) == "Alice@example.com"


def test_up_to_eight_addresses_may_mint_and_more_only_read() -> None:
    assert asked(or_(*many(MOST_MINTED))).shape is Shape.EXACT
    assert asked(or_(*many(MOST_MINTED + 1))).shape is Shape.BROWSING
    assert len(keys(or_(*many(MOST_MINTED + 1)))) == MOST_MINTED + 1


def test_one_search_asks_for_a_bounded_number_of_addresses() -> None:
    assert len(keys(or_(*many(MOST_READ)))) == MOST_READ
    with pytest.raises(RequestRefused) as refused:
        asked(or_(*many(MOST_READ + 1)))
    assert refused.value.code is ResultCode.ADMIN_LIMIT_EXCEEDED
