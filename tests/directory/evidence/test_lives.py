"""A start tells what has changed since the last one, and how that ended."""

from collections.abc import Mapping

import pytest

from directory.audit import AuditKind
from directory.evidence.lives import Circumstances, FormerLife, event_of_stop, events_of_start
from tests.directory.evidence.builders import NOW

SETTINGS = {"ca": "1", "ldap": "2"}
BEFORE = {"version": "1.0", "profiles": "rsa-3072", "settings.ca": "1", "settings.ldap": "2"}


def circumstances(**deviation: object) -> Circumstances:
    values: dict[str, object] = {
        "node": "node-1",
        "version": "1.0",
        "settings": SETTINGS,
        "profiles": "rsa-3072",
        "master_key_id": "key-1",
    }
    return Circumstances(**(values | deviation))  # type: ignore[arg-type] # the values fit the fields they name


def a_life(*, stopped_in_order: bool = True, detail: Mapping[str, str] | None = None) -> FormerLife:
    return FormerLife(started_at=NOW, stopped_in_order=stopped_in_order, detail=detail or BEFORE)


def told(former: FormerLife | None, now: Circumstances) -> dict[AuditKind, Mapping[str, str]]:
    events = events_of_start(former, now, NOW)
    assert {event.subject for event in events} == {"node:node-1"}
    assert events[-1].kind is AuditKind.SERVICE_STARTED
    return {event.kind: event.detail for event in events}


@pytest.mark.parametrize("former", [None, a_life()])
def test_a_usual_start_tells_of_itself_and_of_the_master_key(former: FormerLife | None) -> None:
    assert told(former, circumstances()) == {
        AuditKind.MASTER_KEY_LOADED: {"key": "key-1"},
        AuditKind.SERVICE_STARTED: BEFORE,
    }


def test_a_life_that_never_ended_was_a_crash() -> None:
    detail = told(a_life(stopped_in_order=False), circumstances())[AuditKind.SERVICE_CRASHED]

    assert detail == {"started_at": NOW.isoformat(timespec="microseconds")}


def test_other_profiles_of_certificates_are_told() -> None:
    detail = told(a_life(), circumstances(profiles="rsa-4096"))[AuditKind.PROFILES_CHANGED]

    assert detail == {"before": "rsa-3072", "now": "rsa-4096"}


def test_another_version_is_told() -> None:
    detail = told(a_life(), circumstances(version="1.1"))[AuditKind.SOFTWARE_CHANGED]

    assert detail == {"before": "1.0", "now": "1.1"}


@pytest.mark.parametrize(
    ("settings", "sections"),
    [
        ({"ca": "9", "ldap": "2"}, "ca"),
        ({"ca": "9", "ldap": "9"}, "ca ldap"),
        ({"ca": "1"}, "ldap"),
        ({**SETTINGS, "new": "1"}, "new"),
    ],
)
def test_the_sections_of_settings_that_changed_are_told(settings: dict[str, str], sections: str) -> None:
    detail = told(a_life(), circumstances(settings=settings))[AuditKind.SETTINGS_CHANGED]

    assert detail == {"sections": sections}


def test_a_stop_in_order_is_told() -> None:
    event = event_of_stop("node-1", NOW)

    assert (event.kind, event.subject, event.actor) == (
        AuditKind.SERVICE_STOPPED,
        "node:node-1",
        "service",
    )
