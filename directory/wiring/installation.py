"""What does a command work on? One installation: its settings, its database, its master key."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from ca.errors import MasterKeyUnusable
from ca.issuance import Issuer
from ca.keys import PrivateKey, to_pkcs8
from ca.pkcs11 import TokenKey, TokenThread
from ca.profiles import Purpose
from ca.sealing import SealedSecret
from directory.administration import Administration
from directory.bounces.bounces import Bounces
from directory.bounces.desk import BounceDesk
from directory.callers import Gateway
from directory.clock import Clock, SystemClock
from directory.errors import ConfigurationRefused, StoreUnavailable, Unknown
from directory.hierarchy import StoredIssuer
from directory.importing import CertificateImport
from directory.issuers import IssuerDesk
from directory.keyblocking import KeyBlocking
from directory.keyring import LiveSealer
from directory.outbox_admin import OutboxAdministration
from directory.recovery import RecoveryDesk, RecoveryRules
from directory.recovery_setup import RecoverySetup
from directory.resending import KeyMailResender
from directory.revocation import Revocation
from directory.rotation import MasterKeyRotation
from directory.settings import Settings, read_secret_text
from directory.store.audit_log import SqlAuditLog
from directory.store.blocked_keys import SqlBlockedKeys
from directory.store.bounce_records import SqlBounceRecords
from directory.store.bounces import SqlBounceStore
from directory.store.callers import SqlCallerStore
from directory.store.database import Database
from directory.store.founding import SqlFounding
from directory.store.imports import SqlImports
from directory.store.inspection import SqlStoreInspector
from directory.store.issuers import SqlIssuers
from directory.store.master_keys import SqlMasterKeys
from directory.store.opening import open_database
from directory.store.organizations import SqlOrganizations
from directory.store.outbox_admin import SqlOutboxAdministration
from directory.store.recoveries import SqlRecoveries
from directory.store.recovery_setup import SqlRecoverySetup
from directory.store.resends import SqlResendStore
from directory.store.revocations import SqlRevocationStore
from directory.store.schema import migrate, require_current
from directory.store.suppressions import SqlSuppressions
from directory.store.timelimits import A_PERSONS_PATIENCE, TimeLimits
from directory.suppression import SuppressionDesk
from directory.verification import Verification
from directory.wiring.pkcs11 import open_token
from directory.wiring.signers import Signers, ca_key_identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An opened installation, and the use cases of an operator on it."""

    settings: Settings
    clock: Clock
    database: Database
    sealer: LiveSealer
    token: TokenThread | None
    """Where keys of CAs are, if not sealed in the database."""
    passphrase: bytes | None = field(repr=False)

    @property
    def node(self) -> str:
        """The name of this node's audit chain."""
        return self.settings.service.node

    @property
    def signers(self) -> Signers:
        """What signs as issuers and responders."""
        return Signers(self.sealer, self.token)

    @property
    def organizations(self) -> SqlOrganizations:
        """The organizations."""
        return SqlOrganizations(self.database, node=self.node)

    @property
    def callers(self) -> SqlCallerStore:
        """The gateways and registration agents."""
        return SqlCallerStore(self.database, node=self.node)

    @property
    def issuers(self) -> SqlIssuers:
        """Root, issuing CAs and their sealed keys."""
        return SqlIssuers(self.database, node=self.node)

    @property
    def master_keys(self) -> SqlMasterKeys:
        """The master keys by name."""
        return SqlMasterKeys(self.database, node=self.node)

    @property
    def audit_log(self) -> SqlAuditLog:
        """The audit log."""
        return SqlAuditLog(self.database, node=self.node)

    def administration(self, actor: str) -> Administration:
        """Return the use cases that add and take away."""
        return Administration(
            organizations=self.organizations, callers=self.callers, clock=self.clock, actor=actor
        )

    def certificate_import(self, actor: str) -> CertificateImport:
        """Return the use case that takes certificates from elsewhere in."""
        return CertificateImport(
            store=SqlImports(self.database, node=self.node),
            organizations=self.organizations,
            clock=self.clock,
            actor=actor,
        )

    def revocation(self) -> Revocation:
        """Return the use case that revokes."""
        return Revocation(store=SqlRevocationStore(self.database, node=self.node), clock=self.clock)

    def key_blocking(self, actor: str) -> KeyBlocking:
        """Return the use case that keeps keys out."""
        return KeyBlocking(store=SqlBlockedKeys(self.database, node=self.node), clock=self.clock, actor=actor)

    def resender(self, on_queued: Callable[[], None] = lambda: None) -> KeyMailResender:
        """Return the use case that sends key mails again; `on_queued` is told when there is one to send."""
        return KeyMailResender(
            store=SqlResendStore(self.database, node=self.node),
            clock=self.clock,
            lifetime=timedelta(days=self.settings.mint.delivery_days),
            on_queued=on_queued,
        )

    def recovery_setup(self, actor: str) -> RecoverySetup:
        """Return the use cases that recovery stands on: certificates to escrow to, recovery agents."""
        register = SqlRecoverySetup(self.database, node=self.node)
        return RecoverySetup(register=register, clock=self.clock, actor=actor)

    def recovery_desk(self, on_queued: Callable[[], None] = lambda: None) -> RecoveryDesk:
        """Return the use case that gives escrowed keys back; `on_queued` is told when there is mail."""
        store = SqlRecoveries(self.database, node=self.node)
        return RecoveryDesk(
            store=store, clock=self.clock, rules=recovery_rules(self.settings), on_queued=on_queued
        )

    def suppressions(self, actor: str) -> SuppressionDesk:
        """Return the use case that stops all mail to an address, in somebody's name."""
        return SuppressionDesk(
            store=SqlSuppressions(self.database, node=self.node), clock=self.clock, actor=actor
        )

    def bounces(self, on_queued: Callable[[], None] = lambda: None) -> Bounces:
        """Return the use case that takes in what comes back; `on_queued` is told when there is mail."""
        store = SqlBounceStore(self.database, node=self.node)
        return Bounces(store=store, clock=self.clock, on_queued=on_queued)

    def bounce_desk(self) -> BounceDesk:
        """Return the use case that puts right what bounces did."""
        return BounceDesk(
            records=SqlBounceRecords(self.database, node=self.node),
            revoker=SqlRevocationStore(self.database, node=self.node),
            clock=self.clock,
        )

    def issuer_desk(self, actor: str) -> IssuerDesk:
        """Return the use cases of an operator at the issuers."""
        signers = self.signers
        return IssuerDesk(
            register=self.issuers,
            has_key=signers.has_key,
            try_key=signers.try_key,
            clock=self.clock,
            actor=actor,
        )

    @property
    def outbox_view(self) -> SqlOutboxAdministration:
        """Where mails stand."""
        return SqlOutboxAdministration(self.database, node=self.node)

    def outbox_administration(self, actor: str) -> OutboxAdministration:
        """Return the use cases of an operator at the outbox."""
        return OutboxAdministration(
            outbox=self.outbox_view, organizations=self.organizations, clock=self.clock, actor=actor
        )

    def verification(self) -> Verification:
        """Return the check of every invariant."""
        return Verification(
            inspector=SqlStoreInspector(self.database),
            sealer=self.sealer,
            clock=self.clock,
            validity=timedelta(days=self.settings.ca.validity_days),
        )

    def rotation(self, actor: str) -> MasterKeyRotation:
        """Return the use case that replaces the master key."""
        return MasterKeyRotation(
            path=self.settings.master_key.file,
            passphrase=self.passphrase,
            register=self.master_keys,
            clock=self.clock,
            actor=actor,
        )

    async def gateway(self, name: str) -> Gateway:
        """Return an enabled gateway by its name.

        Raises:
            Unknown: there is none.
        """
        for organization in await self.organizations.all():
            for listed in await self.callers.gateways(organization.organization_id):
                if listed.gateway.name == name and listed.disabled_at is None:
                    return listed.gateway
        raise Unknown(kind="gateway", name=name)

    @property
    def founding(self) -> SqlFounding:
        """What makes an installation of an empty database."""
        return SqlFounding(self.database, node=self.node)

    def stored_issuer(
        self,
        issuer: Issuer,
        key: PrivateKey | TokenKey,
        *,
        purpose: Purpose,
        parent_id: str | None,
        active_from: datetime | None,
    ) -> StoredIssuer:
        """Return an issuer as it is stored: with its private key, sealed, or where in a token that is."""
        sealed, in_token = (None, key) if isinstance(key, TokenKey) else (self._sealed(issuer, key), None)
        return StoredIssuer.of(
            issuer.certificate,
            parent_id=parent_id,
            purpose=purpose,
            sealed_key=sealed,
            token_key=in_token,
            active_from=active_from,
            created_at=self.clock.now(),
        )

    def _sealed(self, issuer: Issuer, key: PrivateKey) -> SealedSecret:
        return self.sealer.seal(to_pkcs8(key), ca_key_identity(issuer.key_id))


@asynccontextmanager
async def open_installation(
    settings: Settings,
    passphrase: bytes | None,
    *,
    clock: Clock | None = None,
    limits: TimeLimits = A_PERSONS_PATIENCE,
) -> AsyncIterator[Installation]:
    """Open an installation that is complete: its schema current, its master key the database's own.

    Raises:
        ConfigurationRefused: the database URL or password file cannot be used, or its file is missing.
        MasterKeyUnusable: the master key cannot be used, or belongs to another database.
        StoreOutdated, StoreNewer: the schema is not this version's.
        StoreUnavailable: the database does not answer.
    """
    refuse_missing_database(settings)
    async with open_unchecked(settings, passphrase, clock=clock, limits=limits) as installation:
        try:
            await require_current(installation.database)
        except StoreUnavailable as error:
            # The first touch; the URL never holds a password.
            raise StoreUnavailable(reason=f"{error.reason} ({settings.database.url})") from error
        registered = await installation.master_keys.ids()
        if not any(installation.sealer.knows(key_id) for key_id in registered):
            raise MasterKeyUnusable(
                path=settings.master_key.file, reason="is not the one this database was sealed under"
            )
        yield installation


@asynccontextmanager
async def open_unchecked(
    settings: Settings,
    passphrase: bytes | None,
    *,
    clock: Clock | None = None,
    limits: TimeLimits = A_PERSONS_PATIENCE,
) -> AsyncIterator[Installation]:
    """Open an installation in the making.

    Raises:
        ConfigurationRefused: the database URL or password file cannot be used, or the token's module or file.
        MasterKeyUnusable: the master key cannot be used.
    """
    sealer = LiveSealer(settings.master_key.file, passphrase)
    token = open_token(settings.pkcs11)
    database = _open(settings, limits)
    try:
        yield Installation(
            settings=settings,
            clock=clock or SystemClock(),
            database=database,
            sealer=sealer,
            token=token,
            passphrase=passphrase,
        )
    finally:
        if token is not None:
            await asyncio.to_thread(token.close)
        await database.close()


def refuse_missing_database(settings: Settings) -> None:
    """Return unless the database is an SQLite file that is not there.

    Raises:
        ConfigurationRefused: it is; a directory that began with an empty one would mint every address anew.
    """
    prefix = "sqlite:///"
    url = settings.database.url
    if url.startswith(prefix) and not Path(url.removeprefix(prefix)).exists():
        raise ConfigurationRefused(
            key="database.url",
            reason=f"{url} is missing",
            remedy="restore it from its backup, or name the right one",
        )


async def migrate_database(settings: Settings) -> str:
    """Bring the database to the schema of this version; return the schema's name.

    Raises:
        ConfigurationRefused: the database URL or password file cannot be used.
        StoreNewer: the schema is of a newer version.
        StoreUnavailable: the database does not answer; nothing was changed.
    """
    database = _open(settings, A_PERSONS_PATIENCE)
    try:
        return await migrate(database)
    finally:
        await database.close()


def _open(settings: Settings, limits: TimeLimits) -> Database:
    file = settings.database.password_file
    password = read_secret_text("database.password_file", file) if file else None
    return open_database(settings.database.url, password=password, limits=limits)


def recovery_rules(settings: Settings) -> RecoveryRules:
    """Return who has to agree that an escrowed key is given back, and for how long that holds."""
    return RecoveryRules(
        approvals=settings.recovery.approvals,
        lifetime=timedelta(hours=settings.recovery.hours),
        mail_lifetime=timedelta(days=settings.mint.delivery_days),
    )
