"""`pushpki ca list`, `ca show`, `ca issuing`: the authority's issuers."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from directory.cli.opening import Config, installation, operator, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused
from directory.hierarchy import Hierarchy, StoredIssuer
from directory.issuers import find
from directory.wiring.installation import Installation

issuing = typer.Typer(no_args_is_help=True)

IssuerId = Annotated[
    str, typer.Argument(metavar="ID", help="Its key identifier in hex, or how that begins; see ca list.")
]


def list_issuers(*, config: Config = None, as_json: Json = False) -> None:
    """List the issuers: what each is for, does, and until when."""
    found, slugs, now = run(_issuers(config))
    documents = [_document(found, one, slugs, now) for one in found.issuers]
    lines = [
        f"{one['id']}\t{one['purpose']}\t{one['state']}\tkey {one['key']}\tuntil {one['not_after']}"
        f"\t{one['organization'] or '-'}\t{one['subject']}"
        for one in documents
    ]
    show({"issuers": documents}, as_json=as_json, lines=lines)


def show_issuer(issuer_id: IssuerId, *, config: Config = None, as_json: Json = False) -> None:
    """Show one issuer, with its certificate."""
    found, slugs, now = run(_issuers(config))
    issuer = find(found, issuer_id)
    certificate = x509.load_der_x509_certificate(issuer.certificate)
    pem = certificate.public_bytes(Encoding.PEM).decode()
    document = _document(found, issuer, slugs, now)
    lines = [f"{key}: {value if value is not None else '-'}" for key, value in document.items()]
    show(document | {"certificate": pem}, as_json=as_json, lines=[*lines, *pem.splitlines()])


@issuing.command("activate")
def activate(
    issuer_id: IssuerId,
    *,
    at: Annotated[
        str | None, typer.Option("--at", help="From when on, ISO 8601, UTC unless it says; else now.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let an issuing CA certify recipients; whoever did before goes on with CRLs and OCSP."""
    moment = None if at is None else _moment(at)

    async def work() -> StoredIssuer:
        async with installation(config) as opened:
            validity = timedelta(days=opened.settings.ca.validity_days)
            return await opened.issuer_desk(operator()).activate(issuer_id, moment, validity=validity)

    activated = run(work())
    when = "now" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    show(
        {"id": activated.issuer_id, "active_from": moment.isoformat() if moment else None},
        as_json=as_json,
        lines=[f"Issuer {activated.issuer_id} certifies from {when} on."],
    )


async def _issuers(config: Config) -> tuple[Hierarchy, Mapping[str, str], datetime]:
    async with installation(config) as opened:
        return await opened.issuers.hierarchy(), await _slugs(opened), opened.clock.now()


async def _slugs(opened: Installation) -> Mapping[str, str]:
    return {one.organization_id: one.slug for one in await opened.organizations.all()}


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationRefused(
            key="--at", reason=f"{text!r} is no moment", remedy="such as 2027-01-31T06:00"
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _document(
    hierarchy: Hierarchy, issuer: StoredIssuer, slugs: Mapping[str, str], now: datetime
) -> dict[str, str | None]:
    return {
        "id": issuer.issuer_id,
        "purpose": issuer.purpose.value,
        "state": hierarchy.state(issuer, now).value,
        "key": "sealed here" if issuer.key_is_here else "elsewhere",
        "subject": issuer.subject,
        "serial": f"{issuer.serial:x}",
        "not_before": issuer.not_before.isoformat(),
        "not_after": issuer.not_after.isoformat(),
        "parent": issuer.parent_id,
        "active_from": issuer.active_from.isoformat() if issuer.active_from else None,
        "organization": slugs.get(issuer.organization_id or ""),
        "revoked_at": issuer.revoked_at.isoformat() if issuer.revoked_at else None,
    }
