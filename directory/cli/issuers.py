"""`pushpki ca list`, `ca show`: the authority's issuers, and what is to become one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.profiles import Purpose
from directory.cli.opening import Config, installation_with_issuers, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused
from directory.hierarchy import Hierarchy, IssuerState, StoredIssuer
from directory.issuers import find
from directory.issuing_ports import PendingIssuer
from directory.store.cross_certificates import SqlCrossCertificates
from directory.store.issuing import SqlIssuing

_LONG = ("certificate", "cross_certificates", "request")
"""What is shown of one issuer, and not in the list of all."""
_KEYS = (
    *("id", "purpose", "state", "key", "subject", "serial", "not_before", "not_after", "parent"),
    *("active_from", "organization", "revoked_at", "cross_certified", *_LONG),
)

_DAMAGED = "damaged"
"""A request whose record is not what was stored: it can only be withdrawn."""

IssuerId = Annotated[
    str, typer.Argument(metavar="ID", help="Its key identifier in hex, or how that begins; see ca list.")
]


def list_issuers(*, config: Config = None, as_json: Json = False) -> None:
    """List the issuers: what each is for, does, and until when."""
    documents = run(_documents(config))
    lines = [
        f"{one['id']}\t{one['purpose']}\t{one['state']}\tkey {one['key']}\tuntil {one['not_after'] or '-'}"
        f"\t{one['organization'] or '-'}\t{one['subject']}"
        for one in documents
    ]
    listed = [{key: one[key] for key in one if key not in _LONG} for one in documents]
    show({"issuers": listed}, as_json=as_json, lines=lines)


def show_issuer(issuer_id: IssuerId, *, config: Config = None, as_json: Json = False) -> None:
    """Show one issuer, with its certificate; or a request that waits for one."""
    document = find(run(_documents(config)), issuer_id, key=lambda one: str(one["id"]))
    lines = [f"{key}: {value or '-'}" for key, value in document.items() if key not in _LONG]
    texts = [line for key in _LONG for line in (document[key] or "").splitlines()]
    show(document, as_json=as_json, lines=[*lines, *texts])


async def _documents(config: Config) -> list[dict[str, str | None]]:
    async with installation_with_issuers(config) as opened:
        store = SqlIssuing(opened.database, node=opened.node)
        slugs = {one.organization_id: one.slug for one in await opened.organizations.all()}
        hierarchy, now = await store.hierarchy(), opened.clock.now()
        crossed: defaultdict[str, list[bytes]] = defaultdict(list)
        for cross in await SqlCrossCertificates(opened.database, node=opened.node).cross_certificates():
            crossed[cross.issuer_id].append(cross.certificate)
        issuers = [
            _document(hierarchy, one, slugs, now) | _crossed(crossed[one.issuer_id])
            for one in hierarchy.issuers
        ]
        return issuers + [_document_of_request(one, slugs) for one in await store.pending()]


def moment_of(text: str | None) -> datetime | None:
    """Read the moment of the option --at.

    Raises:
        ConfigurationRefused: it is none.
    """
    if text is None:
        return None
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
        "key": _place_of_key(issuer),
        "subject": issuer.subject,
        "serial": f"{issuer.serial:x}",
        "not_before": issuer.not_before.isoformat(),
        "not_after": issuer.not_after.isoformat(),
        "parent": issuer.parent_id,
        "active_from": issuer.active_from.isoformat() if issuer.active_from else None,
        "organization": slugs.get(issuer.organization_id or ""),
        "revoked_at": issuer.revoked_at.isoformat() if issuer.revoked_at else None,
        "certificate": _pem(issuer.certificate),
        "request": None,
    }


def _crossed(certificates: Sequence[bytes]) -> dict[str, str | None]:
    return {
        "cross_certified": str(len(certificates)),
        "cross_certificates": "".join(map(_pem, certificates)) or None,
    }


def _pem(der: bytes) -> str:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()


def _document_of_request(pending: PendingIssuer, slugs: Mapping[str, str]) -> dict[str, str | None]:
    request = pending.readable()
    return dict.fromkeys(_KEYS) | {
        "id": pending.issuer_id,
        "purpose": Purpose.ISSUING_CA.value,
        "state": IssuerState.PENDING.value if request and pending.has_key else _DAMAGED,
        "key": _place_of_pending(pending),
        "subject": pending.subject,
        "organization": slugs.get(pending.organization_id or ""),
        "request": request.public_bytes(Encoding.PEM).decode() if request else None,
    }


def _place_of_pending(pending: PendingIssuer) -> str:
    if pending.token_key is not None:
        return f"token {pending.token_key.token}"
    return "sealed here" if pending.has_key else "lost"


def _place_of_key(issuer: StoredIssuer) -> str:
    if issuer.token_key is not None:
        return f"token {issuer.token_key.token}"
    if issuer.key_is_here:
        return "sealed here"
    return "somebody else's" if issuer.is_foreign else "off line"
