"""Which organizations are there? Adding them, and finding them by slug."""

from functools import partial

from sqlalchemy import Connection, bindparam, delete, select, update

from directory.audit import AuditEvent
from directory.errors import AlreadyExists, Unknown
from directory.organization import Organization
from directory.store import audit_log, rows
from directory.store.database import Database
from directory.store.statements import Upsert
from directory.store.tables import organization_domains, organizations

_ADD = Upsert(organizations, lambda insert: insert.on_conflict_do_nothing().returning(organizations.c.id))
_ADD_DOMAIN = Upsert(
    organization_domains,
    lambda insert: insert.on_conflict_do_nothing().returning(organization_domains.c.domain),
)
_CHANGE = update(organizations).where(organizations.c.id == bindparam("of_organization"))
_FREE_DOMAINS = delete(organization_domains).where(
    organization_domains.c.organization_id == bindparam("of_organization")
)
_ALL = select(*rows.ORGANIZATION).order_by(organizations.c.slug)
_BY_SLUG = _ALL.where(organizations.c.slug == bindparam("slug"))


class SqlOrganizations:
    """The organizations."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def add(self, organization: Organization, event: AuditEvent) -> None:
        """Add an organization with its domains, as of the event.

        Raises:
            AlreadyExists: the slug is taken, or one of the domains is another organization's.
        """
        await self._database.write(partial(_add, node=self._node, organization=organization, event=event))

    async def change(self, organization: Organization, event: AuditEvent) -> None:
        """Store an organization as it is now; its identifier and slug stay.

        Raises:
            Unknown: there is none of that identifier.
            AlreadyExists: one of its domains is another organization's.
        """
        await self._database.write(partial(_change, node=self._node, organization=organization, event=event))

    async def by_slug(self, slug: str) -> Organization:
        """Return the organization of this slug.

        Raises:
            Unknown: there is none.
        """
        return await self._database.read(partial(_by_slug, slug=slug))

    async def all(self) -> list[Organization]:
        """Return every organization, by slug."""
        return await self._database.read(_all)


def _add(connection: Connection, *, node: str, organization: Organization, event: AuditEvent) -> None:
    added = connection.execute(
        _ADD.on(connection),
        {
            "id": organization.organization_id,
            "slug": organization.slug,
            **rows.organization_columns(organization),
            "created_at": event.at,
        },
    )
    if added.one_or_none() is None:
        raise AlreadyExists(kind="organization", name=organization.slug)
    _claim_domains(connection, organization)
    audit_log.append(connection, node, event)


def _change(connection: Connection, *, node: str, organization: Organization, event: AuditEvent) -> None:
    changed = connection.execute(
        _CHANGE,
        {"of_organization": organization.organization_id, **rows.organization_columns(organization)},
    )
    if changed.rowcount == 0:
        raise Unknown(kind="organization", name=organization.slug)
    connection.execute(_FREE_DOMAINS, {"of_organization": organization.organization_id})
    _claim_domains(connection, organization)
    audit_log.append(connection, node, event)


def _claim_domains(connection: Connection, organization: Organization) -> None:
    for domain in sorted(organization.domains):
        claimed = connection.execute(
            _ADD_DOMAIN.on(connection), {"domain": domain, "organization_id": organization.organization_id}
        )
        if claimed.one_or_none() is None:
            raise AlreadyExists(kind="domain", name=domain)


def _by_slug(connection: Connection, *, slug: str) -> Organization:
    row = connection.execute(_BY_SLUG, {"slug": slug}).one_or_none()
    if row is None:
        raise Unknown(kind="organization", name=slug)
    return rows.organization(row)


def _all(connection: Connection) -> list[Organization]:
    return [rows.organization(row) for row in connection.execute(_ALL)]
