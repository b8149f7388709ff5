"""Which gateways and registration agents are there, and whose is this token?"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, Select, Table, Update, bindparam, case, or_, select, update

from directory.audit import AuditEvent
from directory.callers import (
    Agent,
    AgentCredential,
    Credential,
    Gateway,
    GatewayCredential,
    HeldCertificate,
    HeldToken,
    RecoveryAgentCredential,
)
from directory.errors import AlreadyExists, Unknown
from directory.organization import SHARED_SCOPE
from directory.store import audit_log
from directory.store.database import Database
from directory.store.recovery_setup import AGENT_BY_TOKEN, recovery_agent
from directory.store.rows import AnyRow
from directory.store.statements import Upsert
from directory.store.tables import agents, gateways, organizations

_GATEWAYS = (
    select(
        gateways,
        case((organizations.c.isolated, organizations.c.id), else_=SHARED_SCOPE).label("scope"),
    )
    .join_from(gateways, organizations)
    .order_by(gateways.c.name)
)
_AGENTS = select(agents).join_from(agents, organizations).order_by(agents.c.email)

_ADD_GATEWAY = Upsert(gateways, lambda insert: insert.on_conflict_do_nothing().returning(gateways.c.id))
_ADD_AGENT = Upsert(agents, lambda insert: insert.on_conflict_do_nothing().returning(agents.c.id))


_CREDENTIALS_AT_ONCE = 500
"""In one statement; the number of its parameters is bounded."""


def _enabled(callers: Select[*tuple[object, ...]], table: Table) -> Select[*tuple[object, ...]]:
    return callers.where(table.c.disabled_at.is_(None), organizations.c.disabled_at.is_(None))


def _by_token(callers: Select[*tuple[object, ...]], table: Table) -> Select[*tuple[object, ...]]:
    return _enabled(callers, table).where(table.c.token_id == bindparam("token_id"))


def _disable(table: Table, name: str) -> Update:
    return (
        update(table)
        .where(
            table.c[name] == bindparam("of_name"),
            table.c.organization_id == bindparam("of_organization"),
            table.c.disabled_at.is_(None),
        )
        .values(disabled_at=bindparam("moment"))
    )


_GATEWAY_BY_TOKEN = _by_token(_GATEWAYS, gateways)
_GATEWAYS_BY_CREDENTIAL = _enabled(_GATEWAYS, gateways).where(
    or_(
        gateways.c.token_id.in_(bindparam("token_ids", expanding=True)),
        gateways.c.certificate_sha256.in_(bindparam("certificates", expanding=True)),
    )
)
_AGENT_BY_TOKEN = _by_token(_AGENTS, agents)
_GATEWAYS_OF = _GATEWAYS.where(gateways.c.organization_id == bindparam("organization_id"))
_AGENTS_OF = _AGENTS.where(agents.c.organization_id == bindparam("organization_id"))
_SET_CERTIFICATE = (
    update(gateways)
    .where(
        gateways.c.name == bindparam("of_name"),
        gateways.c.organization_id == bindparam("of_organization"),
        gateways.c.disabled_at.is_(None),
    )
    .values(certificate_sha256=bindparam("sha256"))
)
_HOLDER = select(gateways.c.name).where(gateways.c.certificate_sha256 == bindparam("sha256"))
_DISABLE_GATEWAY = _disable(gateways, "name")
_DISABLE_AGENT = _disable(agents, "email")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedGateway:
    """A gateway in a list."""

    gateway: Gateway
    certificate_sha256: bytes | None
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedAgent:
    """A registration agent in a list."""

    agent: Agent
    created_at: datetime
    disabled_at: datetime | None


class SqlCallerStore:
    """The gateways and registration agents."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def gateway_by_token(self, token_id: str) -> GatewayCredential | None:
        """Return the gateway whose token carries this identifier."""
        row = await self._database.read(partial(_one, _GATEWAY_BY_TOKEN, token_id))
        return GatewayCredential(gateway=_gateway(row), token_digest=row.token_digest) if row else None

    async def gateways_by_credential(
        self, credentials: Collection[Credential]
    ) -> Mapping[Credential, Gateway]:
        """Return the gateway of each of the credentials that is good."""
        asked = tuple(credentials)
        found: dict[Credential, Gateway] = {}
        for start in range(0, len(asked), _CREDENTIALS_AT_ONCE):
            some = asked[start : start + _CREDENTIALS_AT_ONCE]
            found.update(await self._database.read(partial(_holders, some)))
        return found

    async def agent_by_token(self, token_id: str) -> AgentCredential | None:
        """Return the agent whose token carries this identifier."""
        row = await self._database.read(partial(_one, _AGENT_BY_TOKEN, token_id))
        return AgentCredential(agent=_agent(row), token_digest=row.token_digest) if row else None

    async def recovery_agent_by_token(self, token_id: str) -> RecoveryAgentCredential | None:
        """Return the recovery agent whose token carries this identifier."""
        row = await self._database.read(partial(_one, AGENT_BY_TOKEN, token_id))
        if row is None:
            return None
        return RecoveryAgentCredential(agent=recovery_agent(row), token_digest=row.token_digest)

    async def add_gateway(
        self, gateway: Gateway, *, token_id: str, token_digest: bytes, event: AuditEvent
    ) -> None:
        """Add a gateway, as of the event. Names are unique in the whole directory: an LDAP bind says one.

        Raises:
            AlreadyExists: the name is taken.
        """
        columns = {
            "id": gateway.gateway_id,
            "organization_id": gateway.organization_id,
            "name": gateway.name,
            "may_mint": gateway.may_mint,
            "token_id": token_id,
            "token_digest": token_digest,
            "created_at": event.at,
        }
        await self._add(_ADD_GATEWAY, columns, AlreadyExists(kind="gateway", name=gateway.name), event)

    async def add_agent(self, agent: Agent, *, token_id: str, token_digest: bytes, event: AuditEvent) -> None:
        """Add a registration agent, as of the event.

        Raises:
            AlreadyExists: the organization has an agent of this address.
        """
        columns = {
            "id": agent.agent_id,
            "organization_id": agent.organization_id,
            "email": agent.email,
            "token_id": token_id,
            "token_digest": token_digest,
            "created_at": event.at,
        }
        await self._add(_ADD_AGENT, columns, AlreadyExists(kind="agent", name=agent.email), event)

    async def set_gateway_certificate(
        self, name: str, organization_id: str, sha256: bytes | None, event: AuditEvent
    ) -> None:
        """Let the gateway authenticate by this certificate too, and by no other; by none if None.

        Raises:
            Unknown: the organization has no such gateway, or it is disabled.
            AlreadyExists: the certificate is another gateway's.
        """

        def change(connection: Connection) -> None:
            whom = {"of_name": name, "of_organization": organization_id, "sha256": sha256}
            holder = None if sha256 is None else connection.scalar(_HOLDER, {"sha256": sha256})
            if holder not in {None, name}:
                raise AlreadyExists(kind="certificate of gateway", name=holder)
            if connection.execute(_SET_CERTIFICATE, whom).rowcount == 0:
                raise Unknown(kind="gateway", name=name)
            audit_log.append(connection, self._node, event)

        await self._database.write(change)

    async def disable_gateway(self, name: str, organization_id: str, event: AuditEvent) -> None:
        """Disable a gateway, as of the event: from now on its token is nobody's.

        Raises:
            Unknown: the organization has no such gateway, or it is disabled already.
        """
        await self._disable(_DISABLE_GATEWAY, Unknown(kind="gateway", name=name), organization_id, event)

    async def disable_agent(self, email: str, organization_id: str, event: AuditEvent) -> None:
        """Disable a registration agent, as of the event.

        Raises:
            Unknown: the organization has no such agent, or he is disabled already.
        """
        await self._disable(_DISABLE_AGENT, Unknown(kind="agent", name=email), organization_id, event)

    async def gateways(self, organization_id: str) -> list[ListedGateway]:
        """Return the organization's gateways, by name, disabled ones too."""
        found = await self._database.read(partial(_all, _GATEWAYS_OF, organization_id))
        return [
            ListedGateway(
                gateway=_gateway(row),
                certificate_sha256=row.certificate_sha256,
                created_at=row.created_at,
                disabled_at=row.disabled_at,
            )
            for row in found
        ]

    async def agents(self, organization_id: str) -> list[ListedAgent]:
        """Return the organization's registration agents, by address, disabled ones too."""
        found = await self._database.read(partial(_all, _AGENTS_OF, organization_id))
        return [
            ListedAgent(agent=_agent(row), created_at=row.created_at, disabled_at=row.disabled_at)
            for row in found
        ]

    async def _add(
        self, statement: Upsert, columns: Mapping[str, object], taken: AlreadyExists, event: AuditEvent
    ) -> None:
        def add(connection: Connection) -> None:
            if connection.execute(statement.on(connection), columns).one_or_none() is None:
                raise taken
            audit_log.append(connection, self._node, event)

        await self._database.write(add)

    async def _disable(
        self, statement: Update, unknown: Unknown, organization_id: str, event: AuditEvent
    ) -> None:
        def disable(connection: Connection) -> None:
            whom = {"of_name": unknown.name, "of_organization": organization_id, "moment": event.at}
            if connection.execute(statement, whom).rowcount == 0:
                raise unknown
            audit_log.append(connection, self._node, event)

        await self._database.write(disable)


def _one(statement: Select[*tuple[object, ...]], token_id: str, connection: Connection) -> AnyRow | None:
    return connection.execute(statement, {"token_id": token_id}).one_or_none()


def _holders(credentials: Collection[Credential], connection: Connection) -> dict[Credential, Gateway]:
    asked = {
        "token_ids": [item.token_id for item in credentials if isinstance(item, HeldToken)],
        "certificates": [item.sha256 for item in credentials if isinstance(item, HeldCertificate)],
    }
    wanted = frozenset(credentials)
    return {
        credential: _gateway(row)
        for row in connection.execute(_GATEWAYS_BY_CREDENTIAL, asked)
        for credential in _credentials(row)
        if credential in wanted
    }


def _credentials(row: AnyRow) -> Iterator[Credential]:
    yield HeldToken(token_id=row.token_id)
    if row.certificate_sha256 is not None:
        yield HeldCertificate(sha256=row.certificate_sha256)


def _all(
    statement: Select[*tuple[object, ...]], organization_id: str, connection: Connection
) -> list[AnyRow]:
    return list(connection.execute(statement, {"organization_id": organization_id}))


def _gateway(row: AnyRow) -> Gateway:
    return Gateway(
        gateway_id=row.id,
        name=row.name,
        organization_id=row.organization_id,
        scope=row.scope,
        may_mint=row.may_mint,
    )


def _agent(row: AnyRow) -> Agent:
    return Agent(agent_id=row.id, email=row.email, organization_id=row.organization_id)
