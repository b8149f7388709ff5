"""The attributes: all spellings, none for secrets, and nothing published forgotten."""

import pytest

from directory.ldap import attributes
from directory.ldap.attributes import (
    ALL_ATTRIBUTE_TYPES,
    CN,
    EMAIL_ADDRESS,
    MAIL,
    USER_CERTIFICATE,
    USER_SMIME_CERTIFICATE,
    AttributeType,
    attribute_type,
)


@pytest.mark.parametrize(
    ("description", "attribute"),
    [
        ("mail", MAIL),
        ("MAIL", MAIL),
        ("rfc822Mailbox", MAIL),
        ("0.9.2342.19200300.100.1.3", MAIL),
        ("commonName", CN),
        ("2.5.4.3", CN),
        ("userCertificate", USER_CERTIFICATE),
        ("userCertificate;binary", USER_CERTIFICATE),
        ("USERCERTIFICATE;BINARY", USER_CERTIFICATE),
        ("2.5.4.36;binary", USER_CERTIFICATE),
        ("userSMIMECertificate", USER_SMIME_CERTIFICATE),
        ("usersmimecertificate;BINARY", USER_SMIME_CERTIFICATE),
        ("emailAddress", EMAIL_ADDRESS),
        ("E", EMAIL_ADDRESS),
    ],
)
def test_knows_an_attribute_by_every_spelling(description: str, attribute: AttributeType) -> None:
    assert attribute_type(description) is attribute


@pytest.mark.parametrize(
    "description",
    [
        "",
        "anr",
        "mail;binary",
        "mail;lang-de",
        "userCertificate;lang-de",
        "userCertificate;binary;binary",
        ";binary",
        "userPassword",
        "userPKCS12",
        "userPrivateKey",
        "mail ",
    ],
)
def test_does_not_know_others(description: str) -> None:
    assert attribute_type(description) is None


@pytest.mark.parametrize("attribute", ALL_ATTRIBUTE_TYPES, ids=lambda attribute: attribute.names[0])
def test_certificates_are_always_named_with_the_option_binary_and_others_never(
    attribute: AttributeType,
) -> None:
    is_certificate = attribute.names[0] in {
        "userCertificate",
        "cACertificate",
        "certificateRevocationList",
        "authorityRevocationList",
        "crossCertificatePair",
    }

    assert attribute.description.endswith(";binary") is is_certificate


def test_every_attribute_of_the_module_is_in_the_list_and_no_name_is_used_twice() -> None:
    defined = {item for item in vars(attributes).values() if isinstance(item, AttributeType)}
    names = [name.lower() for item in ALL_ATTRIBUTE_TYPES for name in (item.oid, *item.names)]

    assert defined == set(ALL_ATTRIBUTE_TYPES)
    assert len(names) == len(set(names))
