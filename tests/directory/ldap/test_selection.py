"""Which attributes a search returns."""

import pytest

from directory.ldap.attributes import (
    CN,
    MAIL,
    NAMING_CONTEXTS,
    SUBSCHEMA_SUBENTRY,
    USER_CERTIFICATE,
    AttributeType,
)
from directory.ldap.selection import Selection

EVERYTHING = {CN, MAIL, USER_CERTIFICATE, SUBSCHEMA_SUBENTRY, NAMING_CONTEXTS}
USER = {CN, MAIL, USER_CERTIFICATE}
OPERATIONAL = {SUBSCHEMA_SUBENTRY, NAMING_CONTEXTS}


def selection(*requested: str, types_only: bool = False) -> Selection:
    return Selection.of(requested, types_only=types_only)


@pytest.mark.parametrize(
    ("requested", "included"),
    [
        ((), USER),
        (("*",), USER),
        (("+",), OPERATIONAL),
        (("*", "+"), EVERYTHING),
        (("1.1",), set()),
        (("1.1", "mail"), {MAIL}),
        (("MAIL",), {MAIL}),
        (("2.5.4.3", "nonsense", "cn;lang-de"), {CN}),
        (("userCertificate",), {USER_CERTIFICATE}),
        (("USERCERTIFICATE;BINARY",), {USER_CERTIFICATE}),
        (("userCertificate", "userCertificate;binary"), {USER_CERTIFICATE}),
        (("*", "namingContexts"), USER | {NAMING_CONTEXTS}),
        (("userPassword", "userPKCS12"), set()),
    ],
)
def test_includes_what_was_asked_for(requested: tuple[str, ...], included: set[AttributeType]) -> None:
    asked = selection(*requested)

    assert {attribute for attribute in EVERYTHING if asked.includes(attribute)} == included


@pytest.mark.parametrize("requested", [(), ("*",), ("usercertificate;binary",), ("cn", "2.5.4.36")])
def test_wants_the_certificate(requested: tuple[str, ...]) -> None:
    assert selection(*requested).wants_certificate


@pytest.mark.parametrize("requested", [("1.1",), ("+",), ("cn", "mail"), ("userSMIMECertificate",)])
def test_does_not_want_the_certificate(requested: tuple[str, ...]) -> None:
    assert not selection(*requested).wants_certificate


def test_types_only_wants_no_certificate() -> None:
    assert not selection("userCertificate", types_only=True).wants_certificate
