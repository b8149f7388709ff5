"""Whose link is this, and how often has his key been fetched through it?"""

from datetime import datetime
from functools import partial

from sqlalchemy import Connection, bindparam, select, update

from ca.keypackage import KeyPackageFormat
from directory.audit import AuditEvent
from directory.delivery.outbox import DeliveryState
from directory.hierarchy import chain_of
from directory.links import LinkPurpose, PresentedLink
from directory.recipient import Recipient
from directory.store import audit_log, rows
from directory.store.database import Database
from directory.store.issuers import certificates_by_id
from directory.store.links import find
from directory.store.tables import (
    certificates,
    deliveries,
    enrolments,
    held_keys,
    organizations,
    recipient_links,
    relays,
)

_RECIPIENT = (
    select(
        enrolments.c.id.label("enrolment_id"),
        enrolments.c.live,
        certificates.c.address,
        certificates.c.der,
        certificates.c.issuer_id,
        deliveries.c.state.label("delivery_state"),
        deliveries.c.package_format,
        deliveries.c.language,
        held_keys.c.key_master_key_id,
        held_keys.c.key_wrapped_key,
        held_keys.c.key_ciphertext,
        relays.c.password_master_key_id,
        relays.c.password_wrapped_key,
        relays.c.password_ciphertext,
        *rows.ORGANIZATION,
    )
    .join_from(enrolments, organizations, organizations.c.id == enrolments.c.organization_id)
    .join(certificates, certificates.c.enrolment_id == enrolments.c.id)
    .join(deliveries, deliveries.c.enrolment_id == enrolments.c.id)
    .join(held_keys, held_keys.c.enrolment_id == enrolments.c.id)
    .join(relays, relays.c.enrolment_id == enrolments.c.id)
    .where(enrolments.c.id == bindparam("of_enrolment"))
)
# One statement counts and checks: of many at once, none gets past the limit.
_COUNT = (
    update(recipient_links)
    .where(recipient_links.c.id == bindparam("link_id"), recipient_links.c.downloads < bindparam("most"))
    .values(downloads=recipient_links.c.downloads + 1)
)


class SqlRecipientStore:
    """Follows links."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def linked(self, presented: PresentedLink, purpose: LinkPurpose, now: datetime) -> Recipient | None:
        """Return whose link it is; None if it is unknown, wrong, expired or for another purpose."""
        return await self._database.read(partial(_linked, presented=presented, purpose=purpose, now=now))

    async def record_download(self, link_id: str, event: AuditEvent, *, most: int) -> bool:
        """Count one more download, with its event."""

        def record(connection: Connection) -> bool:
            counted = connection.execute(_COUNT, {"link_id": link_id, "most": most})
            if counted.rowcount == 0:
                return False
            audit_log.append(connection, self._node, event)
            return True

        return await self._database.write(record)


def _linked(
    connection: Connection, *, presented: PresentedLink, purpose: LinkPurpose, now: datetime
) -> Recipient | None:
    link = find(connection, presented=presented, purpose=purpose, now=now)
    if link is None:
        return None
    row = connection.execute(_RECIPIENT, {"of_enrolment": link.enrolment_id}).one()
    return Recipient(
        link_id=link.link_id,
        expires_at=link.expires_at,
        enrolment_id=row.enrolment_id,
        organization=rows.organization(row),
        mailbox=rows.mailbox(row.address),
        language=row.language,
        package_format=KeyPackageFormat(row.package_format),
        certificate=row.der,
        chain=chain_of(row.issuer_id, certificates_by_id(connection)),
        live=row.live,
        proven=row.delivery_state == DeliveryState.PROVEN.value,
        sealed_key=rows.sealed(row.key_master_key_id, row.key_wrapped_key, row.key_ciphertext),
        sealed_password=rows.sealed(
            row.password_master_key_id, row.password_wrapped_key, row.password_ciphertext
        ),
    )
