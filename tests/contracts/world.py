"""An organization, its gateway and agent, an issuer and a master key: what a mint needs to be there first."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, func, select

from ca.address import Addressee, Mailbox
from ca.keypackage import KeyPackageFormat
from ca.pkcs11 import TokenKey
from ca.profiles import Purpose
from ca.sealing import MasterKey, MasterKeyring, SealedSecret, Sealer
from directory.audit import AuditEvent, AuditKind
from directory.callers import Agent, Gateway
from directory.enrolmentsecrets import recipient_key_identity, relay_password_identity
from directory.hierarchy import StoredIssuer
from directory.limits import Limit
from directory.lookup import Origin, PublishedCertificate
from directory.mint_ports import EnrolmentRecord, MailClaim, MintTransaction, Reservation
from directory.organization import KeyFate, Organization
from directory.store.callers import SqlCallerStore
from directory.store.database import Database
from directory.store.issuers import SqlIssuers
from directory.store.master_keys import SqlMasterKeys
from directory.store.mint import SqlMintStore
from directory.store.opening import open_database
from directory.store.organizations import SqlOrganizations
from directory.store.tables import certificates, metadata
from tests.databases import PATIENT
from tests.directory.builders import a_gateway, an_agent, an_organization

NOW = datetime(2026, 11, 22, 9, 30, 15, 123456, tzinfo=UTC)
YEAR = timedelta(days=365)
ANNA = Mailbox.parse("Anna@example.org")

MASTER_KEY = MasterKey(key_id="master-1", material=b"\x01" * 32)
SEALER = Sealer(MasterKeyring(active=MASTER_KEY))


def an_event(
    kind: AuditKind = AuditKind.SERVICE_STARTED, *, subject: str = "test", at: datetime = NOW
) -> AuditEvent:
    return AuditEvent(kind=kind, at=at, actor="operator:test", subject=subject)


def an_issuer(
    issuer_id: str = "issuing-1",
    *,
    parent_id: str | None = "root-1",
    purpose: Purpose = Purpose.ISSUING_CA,
    sealed_key: SealedSecret | None = None,
    token_key: TokenKey | None = None,
    organization_id: str | None = None,
    active_from: datetime | None = NOW,
    created_at: datetime = NOW,
) -> StoredIssuer:
    return StoredIssuer(
        issuer_id=issuer_id,
        parent_id=parent_id,
        purpose=purpose,
        subject=f"CN={issuer_id}",
        certificate=f"certificate of {issuer_id}".encode(),
        serial=int.from_bytes(issuer_id.encode()),
        not_before=NOW - YEAR,
        not_after=NOW + 10 * YEAR,
        sealed_key=sealed_key,
        token_key=token_key,
        organization_id=organization_id,
        active_from=active_from if purpose is Purpose.ISSUING_CA else None,
        created_at=created_at,
    )


def a_reservation(
    enrolment_id: str = "enrolment-1",
    *,
    mailbox: Mailbox = ANNA,
    gateway: Gateway | None = None,
    minted_at: datetime = NOW,
    limits: tuple[Limit, ...] = (),
) -> Reservation:
    gateway = gateway or a_gateway()
    return Reservation(
        enrolment_id=enrolment_id,
        organization_id=gateway.organization_id,
        gateway_id=gateway.gateway_id,
        scope=gateway.scope,
        mailbox=mailbox,
        minted_at=minted_at,
        limits=limits,
    )


def an_enrolment(
    reservation: Reservation,
    *,
    not_after: datetime | None = None,
    message_id: str | None = None,
    claim: MailClaim | None = None,
    key_fate: KeyFate = KeyFate.DESTROY,
    password_mail_to: Mailbox | None = None,
    tells_webhook: bool = False,
    crl_partition: int | None = None,
) -> EnrolmentRecord:
    enrolment_id, organization_id = reservation.enrolment_id, reservation.organization_id
    # As wide as a serial number may be, and telling the enrolment.
    serial = int.from_bytes(hashlib.sha256(enrolment_id.encode()).digest()[:20]) >> 1
    return EnrolmentRecord(
        reservation=reservation,
        certificate=PublishedCertificate(
            mailbox=reservation.mailbox,
            der=f"certificate of {enrolment_id}".encode(),
            serial=serial,
            not_before=reservation.minted_at - timedelta(hours=1),
            not_after=not_after or reservation.minted_at + YEAR,
            origin=Origin.MINTED,
        ),
        key_sha256=hashlib.sha256(f"key of {enrolment_id}".encode()).digest(),
        issuer_id="issuing-1",
        crl_partition=crl_partition,
        sealed_key=SEALER.seal(
            f"key of {enrolment_id}".encode(), recipient_key_identity(enrolment_id, organization_id)
        ),
        sealed_password=SEALER.seal(
            f"password of {enrolment_id}".encode(), relay_password_identity(enrolment_id, organization_id)
        ),
        key_fate=key_fate,
        package_format=KeyPackageFormat.COMPATIBLE,
        language="en",
        relay_expires_at=reservation.minted_at + timedelta(days=30),
        mail_id=f"mail of {enrolment_id}",
        bounce_token=hashlib.sha256(enrolment_id.encode()).hexdigest()[:32],
        sender_domain="hospital.org",
        password_mail_to=password_mail_to,
        tells_webhook=tells_webhook,
        message_id=message_id or f"<{enrolment_id}.key@hospital.org>",
        give_up_at=reservation.minted_at + timedelta(days=5),
        claim=claim,
        event=AuditEvent(
            kind=AuditKind.CERTIFICATE_MINTED,
            at=reservation.minted_at,
            actor="gateway:gw",
            subject=enrolment_id,
            organization_id=organization_id,
            detail={"serial": f"{serial:x}"},
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A database under test."""

    url: str
    database: Database

    @property
    def is_postgresql(self) -> bool:
        return self.url.startswith("postgresql:")

    @asynccontextmanager
    async def opened_again(self) -> AsyncIterator[Database]:
        """Open the same database as another process would."""
        database = open_database(self.url, limits=PATIENT)
        try:
            yield database
        finally:
            await database.close()

    async def sql(self, *statements: str) -> None:
        """Change it behind everybody's back."""

        def change(connection: Connection) -> None:
            for statement in statements:
                connection.exec_driver_sql(statement).close()

        await self.database.write(change)

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        return await self.database.read(
            lambda connection: [tuple(row) for row in connection.exec_driver_sql(query)]
        )

    async def select(self, query: Select[*tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return rows with the columns' types, moments among them."""
        return await self.database.read(lambda connection: [tuple(row) for row in connection.execute(query)])

    async def count(self, table: str) -> int:
        ((count,),) = await self.select(select(func.count()).select_from(metadata.tables[table]))
        return int(count)


async def populate(database: Database) -> None:
    """Add the organization, the gateway, the agent, the issuers and the master key of the builders."""
    await SqlMasterKeys(database, node="setup").register(MASTER_KEY.key_id, an_event())
    await SqlOrganizations(database, node="setup").add(an_organization(), an_event())
    await add_gateway(database, a_gateway())
    await add_agent(database, an_agent())
    issuers = SqlIssuers(database, node="setup")
    await issuers.add(an_issuer("root-1", parent_id=None, purpose=Purpose.ROOT_CA), an_event())
    await issuers.add(an_issuer(), an_event())


async def add_organization(database: Database, organization: Organization) -> Gateway:
    """Add an organization with one gateway; return that."""
    await SqlOrganizations(database, node="setup").add(organization, an_event())
    name = f"gw-{organization.slug}"
    gateway = a_gateway(
        gateway_id=name,
        name=name,
        organization_id=organization.organization_id,
        scope=organization.scope,
    )
    await add_gateway(database, gateway)
    return gateway


async def add_gateway(database: Database, gateway: Gateway) -> None:
    await SqlCallerStore(database, node="setup").add_gateway(
        gateway, token_id=f"token-of-{gateway.gateway_id}", token_digest=b"digest", event=an_event()
    )


async def add_agent(database: Database, agent: Agent) -> None:
    await SqlCallerStore(database, node="setup").add_agent(
        agent, token_id=f"token-of-{agent.agent_id}", token_digest=b"digest", event=an_event()
    )


async def mint(
    database: Database,
    reservation: Reservation | None = None,
    *,
    not_after: datetime | None = None,
    message_id: str | None = None,
    claim: MailClaim | None = None,
    node: str = "node-1",
) -> EnrolmentRecord:
    """Mint; return what was recorded."""
    enrolment = an_enrolment(
        reservation or a_reservation(), not_after=not_after, message_id=message_id, claim=claim
    )
    await record(database, enrolment, node=node)
    return enrolment


async def record(database: Database, enrolment: EnrolmentRecord, *, node: str = "node-1") -> None:
    """Commit the mint that this is the record of."""

    def work(transaction: MintTransaction) -> None:
        transaction.reserve(enrolment.reservation)
        transaction.record(enrolment)

    await SqlMintStore(database, node=node).mint(work)


async def import_certificate(
    database: Database,
    *,
    mailbox: Addressee = ANNA,
    der: bytes = b"own",
    not_before: datetime = NOW - YEAR,
    not_after: datetime = NOW + YEAR,
) -> None:
    """Add a certificate that the recipient brought himself."""
    await database.write(
        lambda connection: connection.execute(
            certificates.insert(),
            {
                "id": f"found-{der.decode()}",
                "serial": "1",
                "scope": "shared",
                "address": str(mailbox),
                "address_key": mailbox.key,
                "origin": Origin.FOUND.value,
                "der": der,
                "key_sha256": hashlib.sha256(der).digest(),
                "not_before": not_before,
                "not_after": not_after,
                "published_at": NOW,
            },
        ).close()
    )
