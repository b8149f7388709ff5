"""How does an issuer end, with all that it issued?

Its own certificate is entered among those that its parent has issued, as revoked: so the parent's CRL lists
it by the rule that it lists every other by.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from secrets import token_hex

from sqlalchemy import BindParameter, Connection, bindparam, exists, insert, select, update

from ca.revocation import RevocationReason
from directory.audit import AuditEvent, AuditKind
from directory.hierarchy import StoredIssuer
from directory.issuer_revocation import Batch
from directory.store import audit_log
from directory.store.issuers import SqlIssuers
from directory.store.locks import lock_several_before_end
from directory.store.overtaking import lead_after_end
from directory.store.tables import EnrolmentEnd, certificates, enrolments, issuers

AUTHORITY = "authority"
"""The origin of a CA's own certificate; it has no address, so nobody finds it."""

# Waits until every mint that holds the issuer has ended, and lets none begin (`issuers.hold`). It keeps out
# as well whoever makes a row that refers to the issuer, such as the first count of what it has revoked. He
# may have what precedes the audit head in everybody's order (`locks`), so nothing of that is locked after
# this one, but the counts of the issuer above.
_LOCK = select(issuers.c.revoked_at).where(issuers.c.id == bindparam("of_issuer")).with_for_update()
_END = (
    update(issuers)
    .where(issuers.c.id == bindparam("of_issuer"))
    .values(revoked_at=bindparam("moment"), revocation_reason=bindparam("reason"))
)
_UNENDED = (
    select(issuers.c.id)
    .where(
        issuers.c.revoked_at.is_not(None),
        issuers.c.not_after > bindparam("now"),  # what it issued does not outlive it, nor is it looked for
        exists().where(
            certificates.c.issuer_id == issuers.c.id,
            certificates.c.revoked_at.is_(None),
            certificates.c.not_after > bindparam("now"),
        ),
    )
    .order_by(issuers.c.id)
)
_PAGE = (
    select(
        certificates.c.id,
        certificates.c.enrolment_id,
        certificates.c.serial,
        enrolments.c.organization_id,
    )
    .join_from(certificates, enrolments, isouter=True)
    .where(
        certificates.c.issuer_id == bindparam("of_issuer"),
        certificates.c.id > bindparam("after"),
        certificates.c.revoked_at.is_(None),
        certificates.c.not_after > bindparam("now"),
    )
    .order_by(certificates.c.id)
    .limit(bindparam("most"))
)
_ENROLMENTS: BindParameter[str] = bindparam("of_enrolments", expanding=True)
_CERTIFICATES: BindParameter[str] = bindparam("of_certificates", expanding=True)
# The first one that is revoked is announced, and whoever waits to announce another has its row already.
_LOCK_CERTIFICATES = (
    select(certificates.c.id)
    .where(certificates.c.id.in_(_CERTIFICATES))
    .order_by(certificates.c.id)
    .with_for_update(key_share=True)
)
_REVOKE = (
    update(certificates)
    .where(certificates.c.id.in_(_CERTIFICATES), certificates.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("moment"), revocation_reason=RevocationReason.SUPERSEDED.value)
    .returning(certificates.c.id)
)
# What ended otherwise, such as by a bounce, stays ended for that reason: nothing is minted in its place.
_END_ENROLMENTS = (
    update(enrolments)
    .where(enrolments.c.id.in_(_ENROLMENTS), enrolments.c.live)
    .values(live=False, ended_because=EnrolmentEnd.REVOKED.value)
    .returning(enrolments.c.id)
)


class SqlIssuerRevocations(SqlIssuers):
    """Revokes issuers and what they issued."""

    async def end(
        self, issuer: StoredIssuer, reason: RevocationReason, at: datetime, event: AuditEvent
    ) -> None:
        """Revoke an issuer; if somebody else has done so meanwhile, leave it at that."""
        await self._database.write(
            partial(_end, node=self._node, issuer=issuer, reason=reason, at=at, event=event)
        )

    async def unended(self, now: datetime) -> Sequence[str]:
        """Return issuers that were revoked, though not all that they issued."""
        return await self._database.read(partial(unended, now=now))

    async def end_certificates(
        self, issuer_id: str, after: str, at: datetime, actor: str, *, most: int
    ) -> Batch:
        """Revoke so many of its recipients' certificates, in order of their identifiers."""
        return await self._database.write(
            partial(
                _end_certificates,
                node=self._node,
                issuer_id=issuer_id,
                after=after,
                at=at,
                actor=actor,
                most=most,
            )
        )


def unended(connection: Connection, *, now: datetime) -> list[str]:
    """Return issuers that were revoked, though not all that they issued, in the transaction under way."""
    return list(connection.execute(_UNENDED, {"now": now}).scalars())


def _end(
    connection: Connection,
    *,
    node: str,
    issuer: StoredIssuer,
    reason: RevocationReason,
    at: datetime,
    event: AuditEvent,
) -> None:
    of_issuer = {"of_issuer": issuer.issuer_id}
    if connection.execute(_LOCK, of_issuer).scalar_one() is not None:
        return
    connection.execute(_END, {**of_issuer, "moment": at, "reason": reason.value})
    if issuer.parent_id is not None:
        connection.execute(
            insert(certificates),
            {
                "id": token_hex(16),
                "issuer_id": issuer.parent_id,
                "serial": f"{issuer.serial:x}",
                "scope": AUTHORITY,
                "address": "",
                "address_key": "",
                "origin": AUTHORITY,
                "der": issuer.certificate,
                "key_sha256": hashlib.sha256(issuer.certificate).digest(),
                "not_before": issuer.not_before,
                "not_after": issuer.not_after,
                "published_at": at,
                "revoked_at": at,
                "revocation_reason": reason.value,
            },
        )
    audit_log.append(connection, node, event)


def _end_certificates(
    connection: Connection,
    *,
    node: str,
    issuer_id: str,
    after: str,
    at: datetime,
    actor: str,
    most: int,
) -> Batch:
    """Revoke a batch.

    1. Its enrolments are locked in the order of everybody, with the renewals that lead now (`locks`).
    2. What somebody else has revoked meanwhile keeps his reason, and gets no second event.
    3. A renewal that is of the issuer too leads until its own batch comes, unless that is this one.
    """
    page = connection.execute(_PAGE, {"of_issuer": issuer_id, "after": after, "now": at, "most": most}).all()
    enrolment_ids = [row.enrolment_id for row in page if row.enrolment_id is not None]
    lock_several_before_end(connection, enrolment_ids)
    ids = [row.id for row in page]
    connection.execute(_LOCK_CERTIFICATES, {"of_certificates": ids}).all()
    revoked = set(connection.execute(_REVOKE, {"of_certificates": ids, "moment": at}).scalars())
    ended = connection.execute(_END_ENROLMENTS, {"of_enrolments": enrolment_ids}).scalars().all()
    switched = [event for each in sorted(ended) for event in lead_after_end(connection, each, at)]
    revocations = [
        AuditEvent(
            kind=AuditKind.CERTIFICATE_REVOKED,
            at=at,
            actor=actor,
            subject=row.id,
            organization_id=row.organization_id,
            detail={"serial": row.serial, "reason": RevocationReason.SUPERSEDED.value},
        )
        for row in page
        if row.id in revoked
    ]
    audit_log.append_all(connection, node, [*revocations, *switched])
    return Batch(count=len(revoked), last=ids[-1] if len(ids) == most else None)
