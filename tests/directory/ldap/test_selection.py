"""Which attributes a search returns."""

import pytest

from directory.ldap.attributes import (
    CN,
    MAIL,
    NAMING_CONTEXTS,
    SUBSCHEMA_SUBENTRY,
    USER_CERTIFICATE,
    USER_SMIME_CERTIFICATE,
    AttributeType,
)
from directory.ldap.ber import octet_string
from directory.ldap.selection import Selection
from directory.ldap.settings import AttributeNames, Presentation, SmimeForm

EVERYTHING = {CN, MAIL, USER_CERTIFICATE, SUBSCHEMA_SUBENTRY, NAMING_CONTEXTS}
USER = {CN, MAIL, USER_CERTIFICATE}
OPERATIONAL = {SUBSCHEMA_SUBENTRY, NAMING_CONTEXTS}


STANDARD = Presentation()


def selection(*requested: str, types_only: bool = False, presentation: Presentation = STANDARD) -> Selection:
    return Selection.of(requested, types_only=types_only, presentation=presentation)


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
    assert {attribute for attribute, _ in asked.shown(EVERYTHING)} == included


@pytest.mark.parametrize("requested", [(), ("*",), ("usercertificate;binary",), ("cn", "2.5.4.36")])
def test_wants_the_certificate(requested: tuple[str, ...]) -> None:
    assert selection(*requested).wants_certificate


@pytest.mark.parametrize("requested", [("1.1",), ("+",), ("cn", "mail"), ("userSMIMECertificate;lang-de",)])
def test_does_not_want_the_certificate(requested: tuple[str, ...]) -> None:
    assert not selection(*requested).wants_certificate


def test_types_only_wants_no_certificate() -> None:
    assert not selection("userCertificate", types_only=True).wants_certificate


@pytest.mark.parametrize("requested", [("userSMIMECertificate",), ("USERSMIMECERTIFICATE;binary", "cn")])
def test_the_package_counts_as_the_certificate(requested: tuple[str, ...]) -> None:
    assert selection(*requested).wants_certificate
    assert not selection(*requested, types_only=True).wants_certificate


@pytest.mark.parametrize("requested", [(), ("*",), ("*", "+"), ("userCertificate",)])
def test_the_package_is_for_those_who_ask_for_it_by_name(requested: tuple[str, ...]) -> None:
    assert not selection(*requested).includes(USER_SMIME_CERTIFICATE)
    assert selection("userSMIMECertificate", *requested).includes(USER_SMIME_CERTIFICATE)


@pytest.mark.parametrize(
    ("requested", "name"),
    [
        (("userSMIMECertificate",), "userSMIMECertificate"),
        (("USERsmimecertificate;Binary",), "userSMIMECertificate;binary"),
        (("2.16.840.1.113730.3.1.40",), "userSMIMECertificate"),
        (("userSMIMECertificate", "userSMIMECertificate;binary"), "userSMIMECertificate"),
        (("userSMIMECertificate;binary", "userSMIMECertificate"), "userSMIMECertificate;binary"),
    ],
)
def test_the_package_is_named_in_the_form_that_was_asked_for_first(
    requested: tuple[str, ...], name: str
) -> None:
    assert selection(*requested).shown([CN, USER_SMIME_CERTIFICATE]) == [
        (USER_SMIME_CERTIFICATE, octet_string(name))
    ]


def test_where_the_package_is_off_there_is_no_such_attribute() -> None:
    asked = selection("userSMIMECertificate", "cn", presentation=Presentation(smime=SmimeForm.OFF))

    assert not asked.includes(USER_SMIME_CERTIFICATE)
    assert not asked.wants_certificate


@pytest.mark.parametrize("requested", [(), ("userCertificate;binary",), ("userCertificate",)])
@pytest.mark.parametrize(
    ("names", "name"),
    [(AttributeNames.BINARY, "userCertificate;binary"), (AttributeNames.PLAIN, "userCertificate")],
)
def test_one_switch_decides_how_certificates_are_named(
    requested: tuple[str, ...], names: AttributeNames, name: str
) -> None:
    asked = selection(*requested, presentation=Presentation(names=names))

    assert asked.shown([USER_CERTIFICATE]) == [(USER_CERTIFICATE, octet_string(name))]
