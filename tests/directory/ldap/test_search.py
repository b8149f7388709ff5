"""Searches from request to response: coverage, minting, limits, what is shown. L01 to L20: real clients."""

import pytest

from ca.address import Mailbox
from directory.callers import Anonymous, Asker
from directory.errors import StoreUnavailable
from directory.ldap.codes import ResponseTag, ResultCode, SearchScope
from directory.ldap.errors import RequestRefused
from directory.ldap.requests import SearchRequest, read_message
from directory.ldap.responses import Result
from directory.ldap.results import Outcome
from directory.ldap.search import SearchPlan, plan_search
from directory.ldap.settings import StartTls
from directory.ldap.tree import Tree
from directory.lookup import Intent
from tests.directory.builders import a_gateway
from tests.directory.ldap.memory import absent, deferred, der_of, found, minted
from tests.directory.ldap.wire import (
    CERTIFICATE,
    ReadEntry,
    ReadResult,
    and_,
    assertion,
    equals,
    extensible,
    mail,
    not_,
    or_,
    present,
    responses,
    search,
    substrings,
)

GATEWAY = a_gateway()
PEOPLE = "ou=people,o=directory"
BASE, ONE, SUBTREE = SearchScope


def planned(pdu: bytes, asker: Asker = GATEWAY) -> SearchPlan | Result:
    request = read_message(pdu).request
    assert isinstance(request, SearchRequest)
    return plan_search(Tree("o=directory", StartTls.OFFERED), request, asker)


def plan(pdu: bytes, asker: Asker = GATEWAY) -> SearchPlan:
    result = planned(pdu, asker)
    assert isinstance(result, SearchPlan)
    return result


def questions(pdu: bytes) -> list[tuple[str, Intent]]:
    return [(question.mailbox.key, question.intent) for question in plan(pdu).questions]


def answered(pdu: bytes, *outcomes: Outcome) -> tuple[list[ReadEntry], ReadResult]:
    subject = plan(pdu)
    assert len(subject.questions) == len(outcomes)
    *entries, done = responses(subject.responses(1, outcomes))
    assert isinstance(done, ReadResult)
    assert done.kind is ResponseTag.SEARCH_DONE
    assert all(isinstance(entry, ReadEntry) for entry in entries)
    return [entry for entry in entries if isinstance(entry, ReadEntry)], done


def names(pdu: bytes, *outcomes: Outcome) -> list[str]:
    entries, _ = answered(pdu, *outcomes)
    return [entry.name for entry in entries]


ALICE_MINTS = [("alice@example.com", Intent.MINT_IF_ABSENT)]
ALICE_READS = [("alice@example.com", Intent.READ_ONLY)]
BOTH_MINT = [("alice@example.com", Intent.MINT_IF_ABSENT), ("bob@example.com", Intent.MINT_IF_ABSENT)]
BOTH_READ = [("alice@example.com", Intent.READ_ONLY), ("bob@example.com", Intent.READ_ONLY)]
ALICE_OR_BOB = or_(mail(), mail("bob@example.com"))
PERSON = equals("objectclass", "inetOrgPerson")


@pytest.mark.parametrize(
    ("pdu", "expected"),
    [
        (search(size_limit=2, attributes=("usercertificate;binary",)), ALICE_MINTS),  # L01
        (search(ALICE_OR_BOB, size_limit=4, attributes=("usercertificate;binary",)), BOTH_MINT),  # L02
        (search(and_(PERSON, mail()), size_limit=2), ALICE_MINTS),  # L03
        (
            search(  # L04, on every keystroke
                or_(
                    substrings("cn", "alice@example.com", ""),
                    substrings("mail", "alice@example.com"),
                    substrings("givenName", "alice@example.com"),
                    substrings("sn", "alice@example.com"),
                ),
                attributes=(),
                size_limit=100,
            ),
            ALICE_READS,
        ),
        (search(base="", attributes=()), ALICE_MINTS),  # L05
        (
            search(  # L06
                or_(
                    substrings("sn", "alice@example.com"),
                    or_(substrings("cn", "alice@example.com"), substrings("mail", "alice@example.com")),
                ),
                base="",
                attributes=(),
            ),
            ALICE_READS,
        ),
        (
            search(attributes=("userCertificate", CERTIFICATE, "objectClass", "javaClassName")),  # L08
            ALICE_MINTS,
        ),
        (
            search(  # L09, for an address
                and_(mail(), or_(present(CERTIFICATE), present("userCertificate"))),
                attributes=("userCertificate", CERTIFICATE),
            ),
            ALICE_MINTS,
        ),
        (search(mail("example.com")), [("example.com", Intent.READ_ONLY)]),  # L09, for a domain
        (
            search(  # L11
                and_(
                    present("mail"),
                    or_(
                        substrings("mail", initial="alice@example.com"),
                        or_(substrings("cn", initial="alice@example.com")),
                    ),
                ),
                attributes=(),
            ),
            ALICE_READS,
        ),
        (search(present("cn")), []),  # L13
        (search(attributes=("1.1",)), ALICE_READS),  # L17
        (search(attributes=("*", "+")), ALICE_MINTS),
        (search(attributes=("+",)), ALICE_READS),
        (search(equals("MAIL", "ALICE@EXAMPLE.COM"), attributes=("USERCERTIFICATE",)), ALICE_MINTS),
        (search(types_only=True), ALICE_READS),  # L18
        (search(present("mail")), []),  # L20
        (search(attributes=("mail", "cn")), ALICE_READS),
        (search(ALICE_OR_BOB, size_limit=1), BOTH_READ),  # one of them would not be in the answer
    ],
)
def test_what_a_search_asks(pdu: bytes, expected: list[tuple[str, Intent]]) -> None:
    assert questions(pdu) == expected


@pytest.mark.parametrize(
    "condition",
    [
        and_(mail(), equals("objectClass", "printer")),
        and_(mail(), equals("objectClass", "organization")),
        and_(mail(), present("telephoneNumber")),
        and_(mail(), present("uid")),
        and_(mail(), mail("bob@example.com")),
        and_(mail(), not_(present("cn"))),
        and_(mail(), assertion(0xA5, "mail", "a")),
        and_(mail(), extensible("people", attribute="ou")),
    ],
)
def test_nobody_is_looked_up_whose_entry_would_not_match(condition: bytes) -> None:
    assert questions(search(condition)) == []


@pytest.mark.parametrize("scope", SearchScope)
@pytest.mark.parametrize(
    ("base", "scopes"),
    [
        ("", {ONE, SUBTREE}),
        ("o=directory", {SUBTREE}),
        (PEOPLE, {ONE, SUBTREE}),
        ("ou=gateways,o=directory", set()),
        ("cn=Subschema", set()),
    ],
)
def test_recipients_are_asked_for_where_they_are(
    base: str, scope: SearchScope, scopes: set[SearchScope]
) -> None:
    assert questions(search(base=base, scope=scope)) == (ALICE_MINTS if scope in scopes else [])


def test_a_found_certificate_is_one_entry_with_one_value() -> None:
    entries, done = answered(search(), found())

    assert entries == [
        ReadEntry(
            message_id=1,
            name=f"mail=alice@example.com,{PEOPLE}",
            attributes={CERTIFICATE: [der_of("alice@example.com")]},
        )
    ]
    assert done.code is ResultCode.SUCCESS


def test_a_minted_certificate_looks_like_a_found_one() -> None:
    assert answered(search(), minted()) == answered(search(), found())


@pytest.mark.parametrize(
    "attributes", [("userCertificate",), ("USERCERTIFICATE;binary",), ("userCertificate", CERTIFICATE)]
)
def test_the_certificate_is_named_with_the_option_binary_however_it_was_asked_for(
    attributes: tuple[str, ...],
) -> None:
    entries, _ = answered(search(attributes=attributes), found())

    assert [list(entry.attributes) for entry in entries] == [[CERTIFICATE]]


def test_an_absent_certificate_is_an_empty_success() -> None:
    assert answered(search(), absent()) == (
        [],
        ReadResult(message_id=1, kind=ResponseTag.SEARCH_DONE, code=ResultCode.SUCCESS),
    )


def test_the_entry_has_the_spelling_of_the_certificate() -> None:
    entries, _ = answered(search(mail("ALICE@example.com"), attributes=("mail",)), found("Alice@example.com"))

    assert [entry.attributes for entry in entries] == [{"mail": [b"Alice@example.com"]}]


def test_an_entry_that_does_not_match_the_whole_filter_is_not_returned() -> None:
    assert names(search(), found("bob@example.com")) == []


def test_several_addresses_are_several_entries_in_their_order() -> None:
    assert names(search(ALICE_OR_BOB), found("alice@example.com"), found("bob@example.com")) == [
        f"mail=alice@example.com,{PEOPLE}",
        f"mail=bob@example.com,{PEOPLE}",
    ]


def test_what_was_found_is_returned_although_the_rest_has_to_wait() -> None:
    entries, done = answered(search(ALICE_OR_BOB), deferred(), found("bob@example.com"))

    assert [entry.name for entry in entries] == [f"mail=bob@example.com,{PEOPLE}"]
    assert (done.code, done.diagnostic) == (ResultCode.BUSY, "limit.reached")


def test_a_failure_is_a_result() -> None:
    entries, done = answered(search(), StoreUnavailable(reason="locked"))

    assert entries == []
    assert done.code is ResultCode.UNAVAILABLE
    assert "locked" not in done.diagnostic


def test_what_else_is_live_is_a_second_entry_with_a_name_of_its_own() -> None:
    entries, done = answered(search(size_limit=2), found(further=(b"older", b"minted")))

    assert entries == [
        ReadEntry(
            message_id=1,
            name=f"mail=alice@example.com,{PEOPLE}",
            attributes={CERTIFICATE: [der_of("alice@example.com")]},
        ),
        ReadEntry(
            message_id=1,
            name=f"description=further certificates+mail=alice@example.com,{PEOPLE}",
            attributes={CERTIFICATE: [b"older", b"minted"]},
        ),
    ]
    assert done.code is ResultCode.SUCCESS


def test_every_preferred_certificate_comes_before_the_further_ones() -> None:
    both = (found(further=(b"a",)), found("bob@example.com", further=(b"b",)))

    assert [name.partition(",")[0] for name in names(search(ALICE_OR_BOB), *both)] == [
        "mail=alice@example.com",
        "mail=bob@example.com",
        "description=further certificates+mail=alice@example.com",
        "description=further certificates+mail=bob@example.com",
    ]


def test_a_size_limit_counts_entries_and_keeps_the_preferred_certificate() -> None:
    entries, done = answered(search(size_limit=1), found(further=(b"older",)))

    assert [entry.attributes for entry in entries] == [{CERTIFICATE: [der_of("alice@example.com")]}]
    assert done.code is ResultCode.SIZE_LIMIT_EXCEEDED


@pytest.mark.parametrize("attributes", [("1.1",), ("cn", "mail"), ("+",)])
def test_who_does_not_look_at_certificates_sees_one_entry(attributes: tuple[str, ...]) -> None:
    assert names(search(attributes=attributes), found(further=(b"older",))) == [
        f"mail=alice@example.com,{PEOPLE}"
    ]


def test_the_second_entry_has_to_match_like_any_other() -> None:
    assert names(search(and_(mail(), not_(present("description")))), found(further=(b"older",))) == [
        f"mail=alice@example.com,{PEOPLE}"
    ]


@pytest.mark.parametrize(
    ("base", "values"),
    [
        (f"mail=alice@example.com,{PEOPLE}", [der_of("alice@example.com")]),
        (f"mail=alice@example.com + description=Further Certificates,{PEOPLE}", [b"older", b"minted"]),
        ("CN=alice@example.com", [der_of("alice@example.com"), b"older", b"minted"]),
    ],
)
def test_each_entry_of_a_recipient_may_be_the_base(base: str, values: list[bytes]) -> None:
    pdu = search(present("objectClass"), base=base, scope=BASE)

    assert questions(pdu) == ALICE_READS
    entries, _ = answered(pdu, found(further=(b"older", b"minted")))
    assert [entry.attributes[CERTIFICATE] for entry in entries] == [values]


def test_there_is_no_second_entry_where_nothing_else_is_live() -> None:
    pdu = search(
        present("objectClass"), base=f"mail=alice@example.com+description=further certificates,{PEOPLE}"
    )

    _, done = answered(pdu, found())
    assert (done.code, done.matched_name) == (ResultCode.NO_SUCH_OBJECT, PEOPLE)


def test_a_domains_entry_is_named_by_the_domain_whosever_certificate_it_is() -> None:
    authority = found("domain-confidentiality-authority@example.com")
    entries, _ = answered(search(mail("example.com"), attributes=("mail", CERTIFICATE)), authority)

    assert entries == [
        ReadEntry(
            message_id=1,
            name=f"mail=example.com,{PEOPLE}",
            attributes={"mail": [b"example.com"], CERTIFICATE: [authority.certificate.der]},
        )
    ]


def test_more_entries_than_the_size_limit_are_cut_off_and_said_so() -> None:
    entries, done = answered(
        search(ALICE_OR_BOB, size_limit=1), found("alice@example.com"), found("bob@example.com")
    )

    assert len(entries) == 1
    assert done.code is ResultCode.SIZE_LIMIT_EXCEEDED


def test_exactly_the_size_limit_is_a_success() -> None:
    entries, done = answered(
        search(ALICE_OR_BOB, size_limit=2), found("alice@example.com"), found("bob@example.com")
    )

    assert (len(entries), done.code) == (2, ResultCode.SUCCESS)


@pytest.mark.parametrize(
    ("pdu", "expected"),
    [
        (search(present("objectClass"), base="", scope=BASE), [""]),
        (
            search(present("objectClass")),
            ["o=directory", PEOPLE, "ou=gateways,o=directory"],
        ),
        (search(present("objectClass"), scope=BASE), ["o=directory"]),
        (search(equals("ou", "People")), [PEOPLE]),
        (search(or_(equals("mail", "x"), equals("ou", "people"))), [PEOPLE]),
        (search(and_(equals("mail", "x"), equals("ou", "people"))), []),
        (search(not_(and_(equals("mail", "x"), equals("ou", "people"))), scope=BASE), ["o=directory"]),
        (search(equals("objectClass", "subschema"), base="cn=Subschema", scope=BASE), ["cn=Subschema"]),
        (search(not_(present("anr"))), []),
        (search(present("userPassword")), []),
    ],
)
def test_fixed_entries_need_no_question(pdu: bytes, expected: list[str]) -> None:
    assert names(pdu) == expected


def test_a_recipients_entry_may_be_the_base_but_never_mints() -> None:
    pdu = search(present("objectClass"), base=f"mail=alice@example.com,{PEOPLE}", scope=BASE)

    assert questions(pdu) == ALICE_READS
    assert names(pdu, found()) == [f"mail=alice@example.com,{PEOPLE}"]


def test_nothing_is_below_a_recipients_entry() -> None:
    pdu = search(present("objectClass"), base=f"mail=alice@example.com,{PEOPLE}", scope=ONE)

    entries, done = answered(pdu, found())
    assert (entries, done.code) == ([], ResultCode.SUCCESS)


def test_a_recipients_entry_that_does_not_match_is_not_returned() -> None:
    pdu = search(equals("cn", "bob"), base=f"mail=alice@example.com,{PEOPLE}", scope=BASE)

    entries, done = answered(pdu, found())
    assert (entries, done.code) == ([], ResultCode.SUCCESS)


def test_a_recipients_entry_that_is_not_there_is_no_such_object() -> None:
    pdu = search(present("objectClass"), base=f"mail=alice@example.com,{PEOPLE}", scope=BASE)

    _, done = answered(pdu, absent())
    assert (done.code, done.matched_name) == (ResultCode.NO_SUCH_OBJECT, PEOPLE)
    _, done = answered(pdu, StoreUnavailable(reason="locked"))
    assert done.code is ResultCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("base", "code", "matched"),
    [
        ("dc=nope", ResultCode.NO_SUCH_OBJECT, ""),  # L16
        ("CN=Example Issuing CA", ResultCode.NO_SUCH_OBJECT, ""),  # L07
        ("ou=staff,o=directory", ResultCode.NO_SUCH_OBJECT, "o=directory"),
        ("not a name", ResultCode.INVALID_DN_SYNTAX, ""),
    ],
)
def test_a_base_that_is_not_there_ends_the_search(base: str, code: ResultCode, matched: str) -> None:
    result = planned(search(base=base))

    assert isinstance(result, Result)
    assert (result.code, result.matched_name) == (code, matched)


def test_too_many_addresses_are_refused() -> None:
    pdu = search(or_(*(mail(f"p{number}@example.com") for number in range(33))))

    with pytest.raises(RequestRefused):
        planned(pdu)


def test_questions_carry_who_asks() -> None:
    nobody = Anonymous(may_read=True)
    (question,) = plan(search(), nobody).questions

    assert question.asker is nobody
    assert question.mailbox == Mailbox.parse("alice@example.com")
