"""The documents that are generated must be the ones that the code generates now."""

import re
from pathlib import Path

import pytest

from directory.audit import AuditKind
from directory.audit_requirements import REQUIREMENTS
from directory.settings import Settings
from docs.generate import audit_reference, configuration_reference, looked_for_in, written_in

DOCS = Path(__file__).parent.parent / "docs"


def test_the_reference_of_the_configuration_is_current() -> None:
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == configuration_reference()


def test_the_reference_of_the_audit_log_is_current() -> None:
    assert (DOCS / "audit-events.md").read_text(encoding="utf-8") == audit_reference()


def test_every_kind_of_event_answers_a_requirement() -> None:
    assert {kind for one in REQUIREMENTS for kind in one.kinds} == set(AuditKind)


def test_every_requirement_has_events_or_a_reason() -> None:
    assert [one.what for one in REQUIREMENTS if not (one.kinds or one.instead)] == []


@pytest.mark.parametrize("kind", AuditKind)
def test_every_kind_of_event_is_written_somewhere_and_looked_for_by_a_test(kind: AuditKind) -> None:
    assert written_in(kind)
    assert looked_for_in(kind)


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
