"""Which recovery certificates and recovery agents are there?"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, exists, func, insert, select, update

from ca.escrow import RecoveryCertificate
from ca.keys import key_hash
from directory.audit import AuditEvent
from directory.callers import RecoveryAgent
from directory.errors import AlreadyExists, Unknown
from directory.recovery_setup import ListedRecoveryAgent, ListedRecoveryCertificate
from directory.store import audit_log
from directory.store.database import Database
from directory.store.rows import AnyRow
from directory.store.statements import Upsert
from directory.store.tables import certificates, escrowed_keys, recovery_agents, recovery_certificates

_ADD = insert(recovery_certificates)
_IS_KNOWN = select(exists().where(recovery_certificates.c.id == bindparam("certificate_id")))
_IS_A_RECIPIENTS = select(exists().where(certificates.c.key_sha256 == bindparam("key_sha256")))
_DEACTIVATE = update(recovery_certificates).where(recovery_certificates.c.active).values(active=False)
_ACTIVATE = (
    update(recovery_certificates)
    .where(recovery_certificates.c.id == bindparam("of_certificate"))
    .values(active=True)
)
_ESCROWED = (
    select(func.count())
    .where(escrowed_keys.c.recovery_certificate_id == recovery_certificates.c.id)
    .correlate(recovery_certificates)
    .scalar_subquery()
)
_CERTIFICATES = select(recovery_certificates, _ESCROWED.label("escrowed")).order_by(
    recovery_certificates.c.added_at, recovery_certificates.c.id
)
_ADD_AGENT = Upsert(
    recovery_agents, lambda insert: insert.on_conflict_do_nothing().returning(recovery_agents.c.id)
)
_REMOVE_AGENT = (
    update(recovery_agents)
    .where(recovery_agents.c.name == bindparam("of_name"), recovery_agents.c.disabled_at.is_(None))
    .values(disabled_at=bindparam("moment"))
)
_AGENTS = select(recovery_agents).order_by(recovery_agents.c.name, recovery_agents.c.created_at)
AGENT_BY_TOKEN = select(recovery_agents).where(
    recovery_agents.c.token_id == bindparam("token_id"), recovery_agents.c.disabled_at.is_(None)
)
"""Who is not removed and has the token of that identifier."""


class SqlRecoverySetup:
    """The recovery certificates and the recovery agents."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def add_certificate(self, certificate: RecoveryCertificate, event: AuditEvent) -> None:
        """Add a certificate, which is not active yet.

        Raises:
            AlreadyExists: it is there, or its key is a recipient's.
        """

        def work(connection: Connection) -> None:
            name = certificate.fingerprint
            if connection.scalar(_IS_KNOWN, {"certificate_id": name}):
                raise AlreadyExists(kind="recovery certificate", name=name)
            digest = key_hash(certificate.certificate.public_key())
            if connection.scalar(_IS_A_RECIPIENTS, {"key_sha256": digest}):
                raise AlreadyExists(kind="recipient with the key of", name=name)
            row = {"id": name, "der": certificate.der, "added_at": event.at, "active": False}
            connection.execute(_ADD, row)
            audit_log.append(connection, self._node, event)

        await self._database.write(work)

    async def activate_certificate(self, certificate_id: str, event: AuditEvent) -> None:
        """Let keys be escrowed to this certificate from now on, and to no other.

        Raises:
            Unknown: there is none of this fingerprint.
        """

        def work(connection: Connection) -> None:
            connection.execute(_DEACTIVATE)
            if connection.execute(_ACTIVATE, {"of_certificate": certificate_id}).rowcount == 0:
                raise Unknown(kind="recovery certificate", name=certificate_id)
            audit_log.append(connection, self._node, event)

        await self._database.write(work)

    async def certificates(self) -> Sequence[ListedRecoveryCertificate]:
        """Return all certificates, the oldest first."""
        return await self._database.read(_certificates)

    async def add_agent(
        self, agent: RecoveryAgent, *, token_id: str, token_digest: bytes, event: AuditEvent
    ) -> None:
        """Add a recovery agent.

        Raises:
            AlreadyExists: there is one of that name.
        """
        row: Mapping[str, object] = {
            "id": agent.agent_id,
            "name": agent.name,
            "email": agent.email,
            "person": agent.person,
            "certificate_sha256": agent.certificate_sha256,
            "token_id": token_id,
            "token_digest": token_digest,
            "created_at": event.at,
        }

        def work(connection: Connection) -> None:
            if connection.execute(_ADD_AGENT.on(connection), row).one_or_none() is None:
                raise AlreadyExists(kind="recovery agent", name=agent.name)
            audit_log.append(connection, self._node, event)

        await self._database.write(work)

    async def remove_agent(self, name: str, event: AuditEvent) -> None:
        """Take a recovery agent's rights away.

        Raises:
            Unknown: there is none of that name.
        """

        def work(connection: Connection) -> None:
            removed = connection.execute(_REMOVE_AGENT, {"of_name": name, "moment": event.at})
            if removed.rowcount == 0:
                raise Unknown(kind="recovery agent", name=name)
            audit_log.append(connection, self._node, event)

        await self._database.write(work)

    async def agents(self) -> Sequence[ListedRecoveryAgent]:
        """Return all recovery agents by name, removed ones too."""
        return await self._database.read(_agents)


def recovery_agent(row: AnyRow) -> RecoveryAgent:
    """Make the recovery agent of a row of his table."""
    return RecoveryAgent(
        agent_id=row.id,
        name=row.name,
        email=row.email,
        person=row.person,
        certificate_sha256=row.certificate_sha256,
    )


def _certificates(connection: Connection) -> list[ListedRecoveryCertificate]:
    return [
        ListedRecoveryCertificate(
            certificate=RecoveryCertificate.from_der(row.der),
            added_at=row.added_at,
            active=row.active,
            escrowed=row.escrowed,
        )
        for row in connection.execute(_CERTIFICATES)
    ]


def _agents(connection: Connection) -> list[ListedRecoveryAgent]:
    return [
        ListedRecoveryAgent(agent=recovery_agent(row), created_at=row.created_at, removed_at=row.disabled_at)
        for row in connection.execute(_AGENTS)
    ]
