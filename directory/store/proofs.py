"""When does a delivery become proven? With its enrolment locked: of many proofs at once, one counts."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from directory.delivery.outbox import DeliveryState, MailKind
from directory.links import Link, LinkPurpose, PresentedLink
from directory.proof import Decision, LinkRefused, Proof, ProofAnswer, Provable, Proven
from directory.store import audit_log, links
from directory.store.database import Database
from directory.store.locks import lock_with_renewed
from directory.store.mail_outcomes import cancel_mails, end_hold
from directory.store.overtaking import lead_if_proven
from directory.store.tables import deliveries, enrolments, recipient_links

_PROVABLE = (
    select(
        enrolments.c.organization_id,
        enrolments.c.live,
        deliveries.c.state,
        deliveries.c.proven_at,
        recipient_links.c.used_at,
    )
    .join_from(recipient_links, enrolments, enrolments.c.id == recipient_links.c.enrolment_id)
    .join(deliveries, deliveries.c.enrolment_id == enrolments.c.id)
    .where(recipient_links.c.id == bindparam("link_id"))
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
        switched = lead_if_proven(connection, proof.enrolment_id, proof.at)
        for event in (proof.event, *switched):
            audit_log.append(connection, self._node, event)
        return Proven(enrolment_id=proof.enrolment_id)


def _provable(connection: Connection, link: Link) -> Provable:
    # Whatever ends an enrolment or proves it locks it first, and is waited for. Only then is it looked at.
    lock_with_renewed(connection, link.enrolment_id)
    found = connection.execute(_PROVABLE, {"link_id": link.link_id}).one()
    return Provable(
        enrolment_id=link.enrolment_id,
        organization_id=found.organization_id,
        live=found.live,
        delivery=DeliveryState(found.state),
        is_proven=found.proven_at is not None,
        link_is_used=found.used_at is not None,
    )
