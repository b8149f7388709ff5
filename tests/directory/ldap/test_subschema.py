"""The published schema, read by ldap3's parser of RFC 4512."""

import pytest
from ldap3.protocol.rfc4512 import AttributeTypeInfo, LdapSyntaxInfo, MatchingRuleInfo, ObjectClassInfo

from directory.ldap.attributes import ALL_ATTRIBUTE_TYPES
from directory.ldap.object_classes import ALL_OBJECT_CLASSES
from directory.ldap.subschema import (
    attribute_type_descriptions,
    matching_rule_descriptions,
    object_class_descriptions,
    syntax_descriptions,
)


def test_describes_mail_as_rfc_4524_does() -> None:
    described = AttributeTypeInfo.from_definition(list(attribute_type_descriptions()))["mail"]

    assert described.oid == "0.9.2342.19200300.100.1.3"
    assert described.name == ["mail", "rfc822Mailbox"]
    assert described.equality == ["caseIgnoreIA5Match"]
    assert described.syntax == "1.3.6.1.4.1.1466.115.121.1.26"


def test_writes_the_clauses_in_the_order_of_rfc_4512() -> None:
    assert (
        "( 0.9.2342.19200300.100.1.25 NAME ( 'dc' 'domainComponent' ) EQUALITY caseIgnoreIA5Match"
        " SUBSTR caseIgnoreIA5SubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 SINGLE-VALUE )"
    ) in attribute_type_descriptions()
    assert (
        "( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST ( sn $ cn ) MAY ( description ) )"
    ) in object_class_descriptions()


def test_describes_operational_and_single_valued_attributes() -> None:
    described = AttributeTypeInfo.from_definition(list(attribute_type_descriptions()))

    assert described["subschemaSubentry"].single_value
    assert described["subschemaSubentry"].usage == "DIRECTORY_OPERATION"
    assert described["namingContexts"].usage == "DSA_OPERATION"


def test_another_implementation_reads_every_attribute_and_class() -> None:
    attributes = AttributeTypeInfo.from_definition(list(attribute_type_descriptions()))
    classes = ObjectClassInfo.from_definition(list(object_class_descriptions()))

    assert {item.oid for item in attributes.values()} == {item.oid for item in ALL_ATTRIBUTE_TYPES}
    assert {item.oid for item in classes.values()} == {item.oid for item in ALL_OBJECT_CLASSES}
    assert classes["inetOrgPerson"].superior == ["organizationalPerson"]
    assert set(classes["person"].must_contain) == {"sn", "cn"}
    assert "userCertificate" in classes["pkiUser"].may_contain


def test_every_rule_and_syntax_an_attribute_names_is_described() -> None:
    rules = MatchingRuleInfo.from_definition(list(matching_rule_descriptions()))
    syntaxes = LdapSyntaxInfo.from_definition(list(syntax_descriptions()))

    for attribute in ALL_ATTRIBUTE_TYPES:
        for rule in (attribute.equality, attribute.substrings):
            assert rule is None or rules[rule.value.name].syntax in syntaxes
        assert attribute.syntax.oid in syntaxes


@pytest.mark.parametrize("missing", ["userPassword", "userPKCS12"])
def test_secrets_are_not_in_the_schema(missing: str) -> None:
    described = " ".join((*attribute_type_descriptions(), *object_class_descriptions()))

    assert missing not in described
