"""The object classes: known by name, and closed under their superiors."""

import pytest

from directory.ldap import object_classes
from directory.ldap.attributes import ALL_ATTRIBUTE_TYPES
from directory.ldap.object_classes import ALL_OBJECT_CLASSES, TOP, ObjectClass, object_class_oid


@pytest.mark.parametrize(
    ("name", "oid"),
    [
        ("inetOrgPerson", "2.16.840.1.113730.3.2.2"),
        ("INETORGPERSON", "2.16.840.1.113730.3.2.2"),
        ("top", "2.5.6.0"),
        ("printer", None),
    ],
)
def test_knows_a_class_by_its_name(name: str, oid: str | None) -> None:
    assert object_class_oid(name) == oid


def test_every_class_of_the_module_is_in_the_list() -> None:
    defined = {item for item in vars(object_classes).values() if isinstance(item, ObjectClass)}

    assert defined == set(ALL_OBJECT_CLASSES)
    assert len({item.oid for item in ALL_OBJECT_CLASSES}) == len(ALL_OBJECT_CLASSES)


@pytest.mark.parametrize("item", ALL_OBJECT_CLASSES, ids=lambda item: item.name)
def test_a_class_has_only_known_attributes_and_a_superior(item: ObjectClass) -> None:
    assert set(item.must + item.may) <= set(ALL_ATTRIBUTE_TYPES)
    assert item.superior in ALL_OBJECT_CLASSES or item is TOP or item.name == "subschema"
