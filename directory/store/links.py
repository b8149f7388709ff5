"""Is a presented link one of ours, and what is it for? Rows of links; their secrets are nowhere."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from directory.links import Link, LinkPurpose, NewLink, PresentedLink
from directory.store.tables import recipient_links

_FIND = select(recipient_links).where(
    recipient_links.c.id == bindparam("link_id"),
    recipient_links.c.purpose == bindparam("purpose"),
    recipient_links.c.expires_at > bindparam("now"),
)
_USE = (
    update(recipient_links)
    .where(recipient_links.c.id == bindparam("link_id"), recipient_links.c.used_at.is_(None))
    .values(used_at=bindparam("moment"))
)


def find(
    connection: Connection, *, presented: PresentedLink, purpose: LinkPurpose, now: datetime
) -> Link | None:
    """Return the link, in the transaction under way."""
    wanted = {"link_id": presented.link_id, "purpose": purpose.value, "now": now}
    row = connection.execute(_FIND, wanted).one_or_none()
    if row is None or not presented.matches(row.digest):
        return None
    return Link(
        link_id=row.id,
        purpose=LinkPurpose(row.purpose),
        enrolment_id=row.enrolment_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        downloads=row.downloads,
    )


def use(connection: Connection, link_id: str, at: datetime) -> bool:
    """Mark a link as used, in the transaction under way; False if it was used before."""
    return connection.execute(_USE, {"link_id": link_id, "moment": at}).rowcount == 1


def add(connection: Connection, enrolment_id: str, links: Iterable[NewLink], at: datetime) -> None:
    """Store fresh links, in the transaction under way."""
    rows = [
        {
            "id": link.link_id,
            "digest": link.digest,
            "purpose": link.purpose.value,
            "enrolment_id": enrolment_id,
            "created_at": at,
            "expires_at": link.expires_at,
            "downloads": 0,
        }
        for link in links
    ]
    if rows:
        connection.execute(insert(recipient_links), rows)
