"""`pushpki verify` and `pushpki migrate`: is what is stored whole, and of this version?"""

from directory.cli.opening import Config, installation, read_settings, run
from directory.cli.output import Json, progress, show
from directory.verification import Violation
from directory.wiring.installation import migrate_database, refuse_missing_database

EXIT_VIOLATED = 1


def verify(*, config: Config = None, as_json: Json = False) -> None:
    """Check every invariant over the whole store; exit code 1 if one does not; warnings do not count."""

    async def work() -> list[Violation]:
        async with installation(config) as opened:
            return [violation async for violation in opened.verification().violations()]

    with progress.status("Verifying …"):
        violations = run(work())
    broken = [one for one in violations if not one.is_warning]
    lines = [f"{_severity(one)}{one.invariant}: {one.subject}: {one.reason}" for one in violations]
    show(
        {"violations": [_document(one) for one in violations]},
        as_json=as_json,
        lines=lines if broken else [*lines, "Every invariant holds."],
    )
    if broken:
        raise SystemExit(EXIT_VIOLATED)


def _document(violation: Violation) -> dict[str, object]:
    return {
        "severity": "warning" if violation.is_warning else "violation",
        "invariant": violation.invariant,
        "subject": violation.subject,
        "reason": violation.reason,
    }


def _severity(violation: Violation) -> str:
    return "warning: " if violation.is_warning else ""


def migrate(*, config: Config = None, as_json: Json = False) -> None:
    """Bring the database to the schema of this version."""
    settings = read_settings(config)
    refuse_missing_database(settings)
    with progress.status("Migrating …"):
        revision = run(migrate_database(settings))
    show({"schema": revision}, as_json=as_json, lines=[f"The database has schema {revision}."])
