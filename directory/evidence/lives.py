"""What has changed since the service of this name ran last? What its start puts on record.

A life that began and never ended was a crash. What it ran with stands in the event of its start: the version,
and a digest of each section of the settings, which hold no secrets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from directory.audit import AuditEvent, AuditKind
from directory.evidence.statements import moment_text

_ACTOR = "service"
_VERSION = "version"
_SETTINGS = "settings."
_PROFILES = "profiles"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerLife:
    """How the service has lived before."""

    started_at: datetime
    stopped_in_order: bool
    detail: Mapping[str, str]
    """Of the event of its start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """With what the service starts."""

    node: str
    version: str
    settings: Mapping[str, str]
    """A digest of each section."""
    profiles: str
    """What certificates will say."""
    master_key_id: str


def service_subject(node: str) -> str:
    """Return what the events of a service's own life are about."""
    return f"node:{node}"


def events_of_start(
    former: FormerLife | None, circumstances: Circumstances, at: datetime
) -> tuple[AuditEvent, ...]:
    """Return what a start puts on record, the start itself last."""

    def event(kind: AuditKind, **detail: str) -> AuditEvent:
        return _event(kind, circumstances.node, at, detail)

    events = []
    if former is not None:
        if not former.stopped_in_order:
            events.append(event(AuditKind.SERVICE_CRASHED, started_at=moment_text(former.started_at)))
        before = former.detail.get(_VERSION, "unknown")
        if before != circumstances.version:
            events.append(event(AuditKind.SOFTWARE_CHANGED, before=before, now=circumstances.version))
        changed = _changed(former.detail, circumstances.settings)
        if changed:
            events.append(event(AuditKind.SETTINGS_CHANGED, sections=" ".join(changed)))
        profiles = former.detail.get(_PROFILES, "unknown")
        if profiles != circumstances.profiles:
            events.append(event(AuditKind.PROFILES_CHANGED, before=profiles, now=circumstances.profiles))
    events.append(event(AuditKind.MASTER_KEY_LOADED, key=circumstances.master_key_id))
    started = {_VERSION: circumstances.version, _PROFILES: circumstances.profiles} | {
        f"{_SETTINGS}{section}": digest for section, digest in circumstances.settings.items()
    }
    events.append(event(AuditKind.SERVICE_STARTED, **started))
    return tuple(events)


def event_of_stop(node: str, at: datetime) -> AuditEvent:
    """Return what a stop in order puts on record."""
    return _event(AuditKind.SERVICE_STOPPED, node, at, {})


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    known = {
        key.removeprefix(_SETTINGS): digest for key, digest in before.items() if key.startswith(_SETTINGS)
    }
    return sorted(section for section in known.keys() | now.keys() if known.get(section) != now.get(section))


def _event(kind: AuditKind, node: str, at: datetime, detail: Mapping[str, str]) -> AuditEvent:
    return AuditEvent(kind=kind, at=at, actor=_ACTOR, subject=service_subject(node), detail=dict(detail))
