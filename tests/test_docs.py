"""The documents that are generated must be the ones that the code generates now."""

import re
from pathlib import Path

import pytest

from directory.settings import Settings
from docs.generate import configuration_reference

DOCS = Path(__file__).parent.parent / "docs"


def test_the_reference_of_the_configuration_is_current() -> None:
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == configuration_reference()


@pytest.mark.parametrize("section", Settings.model_fields)
def test_every_setting_is_described(section: str) -> None:
    model = Settings.model_fields[section].get_default().__class__

    assert [key for key, field in model.model_fields.items() if not field.description] == []


def named_tests() -> list[str]:
    texts = [(DOCS / name).read_text(encoding="utf-8") for name in ("threat-model.md", "operations.md")]
    return re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", "\n".join(texts))


@pytest.mark.parametrize("named", named_tests())
def test_every_test_that_a_document_names_exists(named: str) -> None:
    file, _, function = named.partition("::")
    source = (DOCS.parent / file).read_text(encoding="utf-8")

    assert "def test_" in source
    assert not function or re.search(rf"^(?:async )?def {function}\(", source, re.MULTILINE)


def test_the_threat_model_names_tests() -> None:
    assert len(named_tests()) >= 20
