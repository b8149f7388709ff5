"""Only an exact question by a gateway for certificates it will be given may mint; everything else reads."""

import pytest

from directory.ldap.codes import ResultCode, SearchScope
from directory.policy import Refusal
from tests.directory.builders import a_gateway
from tests.directory.ldap.dialogue import REMOTE, a_dialogue
from tests.directory.ldap.memory import BIND_NAME, Directory, absent, der_of
from tests.directory.ldap.wire import (
    ReadEntry,
    and_,
    assertion,
    bind,
    compare,
    controls,
    equals,
    extensible,
    mail,
    not_,
    or_,
    present,
    search,
    substrings,
)

NEW = "new@example.com"
TOO_MANY = or_(*(mail(f"new{number}@example.com") for number in range(9)))


@pytest.mark.parametrize(
    "pdu",
    [
        search(present("mail")),
        search(substrings("mail", initial="n")),
        search(substrings("mail", initial=NEW)),
        search(substrings("mail", final=NEW)),
        search(substrings("mail", NEW)),
        search(or_(substrings("cn", NEW), substrings("mail", NEW), substrings("sn", NEW))),
        search(assertion(0xA5, "mail", NEW)),
        search(assertion(0xA6, "mail", NEW)),
        search(assertion(0xA8, "mail", NEW)),
        search(extensible(NEW, attribute="mail")),
        search(extensible(NEW, attribute="mail", rule="caseIgnoreIA5Match", dn_attributes=True)),
        search(extensible(NEW, rule="caseIgnoreIA5Match")),
        search(not_(mail(NEW))),
        search(not_(not_(mail(NEW)))),
        search(and_(mail(NEW), not_(present("uid")))),
        search(or_(mail(NEW), present("objectClass"))),
        search(TOO_MANY),
        search(and_(mail(NEW), mail("other@example.com"))),
        search(and_(mail(NEW), equals("objectClass", "device"))),
        search(equals("cn", NEW)),
        search(substrings("cn", NEW)),
        search(mail("example.com")),
        search(or_(mail(NEW), mail("example.com")), attributes=("cn",)),
        search(mail(NEW), attributes=("userSMIMECertificate",), types_only=True),
        search(present("objectClass"), base=f"CN={NEW}", scope=SearchScope.BASE),
        search(mail(NEW), base=f"CN={NEW},emailAddress={NEW}"),
        search(mail(NEW), base=f"mail={NEW}+description=further certificates,ou=people,o=directory"),
        search(equals("uid", NEW)),
        search(equals("mail;lang-en", NEW)),
        search(equals("userPrincipalName", NEW)),
        search(mail(NEW), attributes=("1.1",)),
        search(mail(NEW), attributes=("cn",)),
        search(mail(NEW), attributes=("+",)),
        search(mail(NEW), attributes=("userPKCS12", "userPassword")),
        search(mail(NEW), types_only=True),
        search(or_(mail(NEW), mail("other@example.com")), size_limit=1),
        search(mail(NEW), scope=SearchScope.BASE),
        search(mail(NEW), scope=SearchScope.ONE),
        search(mail(NEW), base="", scope=SearchScope.BASE),
        search(mail(NEW), base="ou=gateways,o=directory"),
        search(mail(NEW), base="o=elsewhere"),
        search(present("objectClass"), base=f"mail={NEW},ou=people,o=directory", scope=SearchScope.BASE),
        search(mail(NEW), base=f"mail={NEW},ou=people,o=directory"),
        search(mail(NEW), controls=controls(("1.2.3.4", True))),
        search(mail(f"{NEW},other@example.com")),
        search(mail(f"{NEW}\0")),
        search(mail(f"<{NEW}>")),
        search(mail(f")(mail={NEW}")),
        compare(f"mail={NEW},ou=people,o=directory", "mail", NEW),
    ],
)
def test_no_other_question_of_a_gateway_mints(pdu: bytes) -> None:
    directory = Directory()
    client = a_dialogue(directory)
    client.log_in()

    seen = client.send(pdu)

    assert directory.mints == []
    assert not seen.closed


def test_the_exact_question_does() -> None:
    directory = Directory()
    client = a_dialogue(directory)
    client.log_in()

    assert len(client.send(search(mail(NEW))).responses) == 2
    assert directory.mints == [NEW]


def test_eight_addresses_at_once_are_the_most() -> None:
    directory = Directory()
    client = a_dialogue(directory)
    client.log_in()
    client.send(search(or_(*(mail(f"new{number}@example.com") for number in range(8)))))

    assert len(directory.mints) == 8


def test_nobody_mints_without_a_login_nor_a_gateway_without_the_right() -> None:
    stranger = Directory()
    a_dialogue(stranger).send(search(mail(NEW)))
    assert stranger.mints == []

    reader = Directory(gateway=a_gateway(may_mint=False))
    client = a_dialogue(reader)
    client.log_in()
    client.send(search(mail(NEW)))
    assert [question.asker for question in reader.questions] == [a_gateway(may_mint=False)]


def test_a_failed_login_mints_no_more() -> None:
    directory = Directory()
    client = a_dialogue(directory)
    client.log_in()
    client.send(bind(BIND_NAME, "wrong"))
    client.send(search(mail(NEW)))

    assert directory.mints == []


@pytest.mark.parametrize("refusal", Refusal)
def test_why_there_is_no_certificate_cannot_be_told_from_the_answer(refusal: Refusal) -> None:
    answers = []
    for outcome in (absent(Refusal.NOT_FOUND), absent(refusal)):
        client = a_dialogue()
        client.send(search())
        answers.append(client.answer(client.operations[0], outcome))

    assert answers[0] == answers[1]
    assert answers[0].result.code is ResultCode.SUCCESS


def test_from_elsewhere_a_known_recipient_looks_like_an_unknown_one() -> None:
    client = a_dialogue(Directory(["alice@example.com"]), peer_address=REMOTE)

    assert client.send(search(mail("alice@example.com"))) == client.send(search(mail("bob@example.com")))


@pytest.mark.parametrize(
    "pdu",
    [
        search(present("objectClass"), base=""),
        search(present("mail"), base=""),
        search(present("userCertificate")),
        search(substrings("mail", final="@example.com")),
        search(substrings("mail", "")),
        search(or_(present("mail"), present("cn"), present("sn"))),
        search(not_(equals("mail", "nobody@example.com"))),
        search(not_(or_())),
        search(and_()),
    ],
)
def test_the_directory_cannot_be_listed(pdu: bytes) -> None:
    directory = Directory(["alice@example.com", "bob@example.com"])
    client = a_dialogue(directory)
    client.log_in()
    seen = client.send(pdu)

    names = [response.name for response in seen.responses if isinstance(response, ReadEntry)]
    assert set(names) <= {"o=directory", "ou=people,o=directory", "ou=gateways,o=directory"}
    assert directory.questions == []


@pytest.mark.parametrize(
    "asked",
    [
        ("userPassword",),
        ("userPKCS12",),
        ("userPKCS12;binary",),
        ("userPrivateKey",),
        ("userSMIMECertificate",),
        ("*", "+", "userPassword", "userPKCS12"),
    ],
)
def test_secrets_are_not_among_the_attributes(asked: tuple[str, ...]) -> None:
    (entry, _) = a_dialogue(Directory()).send(search(attributes=asked)).responses

    assert isinstance(entry, ReadEntry)
    assert set(entry.attributes) <= {
        "objectClass",
        "cn",
        "sn",
        "mail",
        "userCertificate;binary",
        "subschemaSubentry",
    }
    assert entry.attributes.get("userCertificate;binary") in (None, [der_of("alice@example.com")])
