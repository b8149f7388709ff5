"""The documents that are generated must be the ones that the code generates now."""

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
