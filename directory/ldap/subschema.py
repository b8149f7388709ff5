"""What does a client read at cn=Subschema? The schema, written as RFC 4512 section 4.1 has it.

Clients that check names before they ask (ldap3, Evolution) read it first. Object classes list only those of
their optional attributes that the directory knows.
"""

from directory.ldap.attributes import ALL_ATTRIBUTE_TYPES, AttributeType, MatchingRule, Syntax, Usage
from directory.ldap.object_classes import ALL_OBJECT_CLASSES, ObjectClass


def attribute_type_descriptions() -> tuple[str, ...]:
    """Return the values of attributeTypes (RFC 4512 section 4.1.2)."""
    return tuple(map(_attribute_type, ALL_ATTRIBUTE_TYPES))


def object_class_descriptions() -> tuple[str, ...]:
    """Return the values of objectClasses (RFC 4512 section 4.1.1)."""
    return tuple(map(_object_class, ALL_OBJECT_CLASSES))


def matching_rule_descriptions() -> tuple[str, ...]:
    """Return the values of matchingRules (RFC 4512 section 4.1.3)."""
    return tuple(
        f"( {rule.value.oid} NAME '{rule.value.name}' SYNTAX {rule.value.syntax.oid} )"
        for rule in MatchingRule
    )


def syntax_descriptions() -> tuple[str, ...]:
    """Return the values of ldapSyntaxes (RFC 4512 section 4.1.5)."""
    return tuple(f"( {syntax.oid} DESC '{syntax.name.replace('_', ' ').title()}' )" for syntax in Syntax)


def _attribute_type(attribute: AttributeType) -> str:
    clauses = [attribute.oid, "NAME", _names(attribute.names)]
    if attribute.equality is not None:
        clauses += ["EQUALITY", attribute.equality.value.name]
    if attribute.substrings is not None:
        clauses += ["SUBSTR", attribute.substrings.value.name]
    clauses += ["SYNTAX", attribute.syntax.oid]
    if attribute.single:
        clauses.append("SINGLE-VALUE")
    if attribute.usage is not Usage.USER:
        clauses += ["USAGE", attribute.usage.value]
    return f"( {' '.join(clauses)} )"


def _object_class(item: ObjectClass) -> str:
    clauses = [item.oid, "NAME", f"'{item.name}'"]
    if item.superior is not None:
        clauses += ["SUP", item.superior.name]
    clauses.append(item.kind.value)
    for keyword, attributes in (("MUST", item.must), ("MAY", item.may)):
        if attributes:
            clauses += [keyword, f"( {' $ '.join(attribute.names[0] for attribute in attributes)} )"]
    return f"( {' '.join(clauses)} )"


def _names(names: tuple[str, ...]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"( {' '.join(quoted)} )"
