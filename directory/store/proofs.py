"""When does a delivery become proven? With its row locked, so that of many proofs at once one counts."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from directory.delivery.outbox import DeliveryState, MailKind
from directory.links import Link, LinkPurpose, PresentedLink
from directory.proof import Decision, LinkRefused, Proof, ProofAnswer, Provable, Proven
from directory.store import audit_log, links
from directory.store.database import Database
from directory.store.mail_outcomes import cancel_mails, end_hold
from directory.store.tables import deliveries, enrolments

# Whatever ends an enrolment changes its delivery too, and so waits for this lock, or is waited for.
_LOCKED = (
    select(deliveries.c.state, deliveries.c.proven_at)
    .where(deliveries.c.enrolment_id == bindparam("enrolment_id"))
    .with_for_update()
)
_ENROLMENT = select(enrolments.c.organization_id, enrolments.c.live).where(
    enrolments.c.id == bindparam("enrolment_id")
)
_PROVE = (
    update(deliveries)
    .where(deliveries.c.enrolment_id == bindparam("of_enrolment"))
    .values(state=DeliveryState.PROVEN.value, proven_at=bindparam("moment"))
)
_ASKING = (MailKind.PROOF, MailKind.REMINDER)


class SqlProofStore:
    """Where deliveries become proven."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def prove(self, presented: PresentedLink, now: datetime, decide: Decision) -> ProofAnswer:
        """Find the link of a proof, decide, and record, all in one transaction."""

        def work(connection: Connection) -> ProofAnswer:
            link = links.find(connection, presented=presented, purpose=LinkPurpose.PROOF, now=now)
            if link is None:
                return LinkRefused()
            decided = decide(_provable(connection, link))
            if isinstance(decided, Proof):
                return self._record(connection, link, decided)
            return decided

        return await self._database.write(work)

    def _record(self, connection: Connection, link: Link, proof: Proof) -> Proven:
        links.use(connection, link.link_id, proof.at)
        connection.execute(_PROVE, {"of_enrolment": proof.enrolment_id, "moment": proof.at})
        end_hold(connection, proof.enrolment_id, proof.at)
        cancel_mails(connection, proof.enrolment_id, _ASKING, proof.at)
        audit_log.append(connection, self._node, proof.event)
        return Proven(enrolment_id=proof.enrolment_id)


def _provable(connection: Connection, link: Link) -> Provable:
    delivery = connection.execute(_LOCKED, {"enrolment_id": link.enrolment_id}).one()
    # Read after the lock was had: it may have been waited for.
    enrolment = connection.execute(_ENROLMENT, {"enrolment_id": link.enrolment_id}).one()
    return Provable(
        enrolment_id=link.enrolment_id,
        organization_id=enrolment.organization_id,
        live=enrolment.live,
        delivery=DeliveryState(delivery.state),
        is_proven=delivery.proven_at is not None,
        link_is_used=link.used_at is not None,
    )
