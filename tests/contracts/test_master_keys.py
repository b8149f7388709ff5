"""The contract of `MasterKeyRegister`: a rotation loses no secret, whenever it is interrupted."""

from dataclasses import replace

import pytest

from ca.address import Mailbox
from ca.errors import SealBroken
from ca.sealing import MasterKey, MasterKeyring, SealedSecret, Sealer, SecretIdentity, SecretKind
from directory.enrolmentsecrets import recipient_key_identity, relay_password_identity
from directory.errors import AlreadyExists, ConfigurationRefused, StoreUnavailable, Unknown
from directory.issuing_ports import PendingIssuer
from directory.store.database import Database
from directory.store.inspection import SqlStoreInspector
from directory.store.issuers import SqlIssuers
from directory.store.issuing import SqlIssuing
from directory.store.master_keys import SqlMasterKeys
from directory.store.organizations import SqlOrganizations
from tests.contracts.world import (
    MASTER_KEY,
    NOW,
    SEALER,
    Store,
    a_reservation,
    add_organization,
    an_event,
    an_issuer,
    mint,
)
from tests.directory.builders import an_organization, smart_host_of

NEW_KEY = MasterKey(key_id="master-2", material=b"\x02" * 32)
ROTATED = Sealer(MasterKeyring(active=NEW_KEY, retired=(MASTER_KEY,)))
NEW_ALONE = Sealer(MasterKeyring(active=NEW_KEY))

CA_KEY = SecretIdentity(kind=SecretKind.CA_KEY, record_id="issuing-2", organization_id=None)
SMTP_PASSWORD = SecretIdentity(kind=SecretKind.SMTP_PASSWORD, record_id="org-2", organization_id="org-2")


@pytest.fixture
def master_keys(database: Database) -> SqlMasterKeys:
    return SqlMasterKeys(database, node="node-1")


async def mint_several(database: Database, count: int) -> None:
    for number in range(count):
        mailbox = Mailbox.parse(f"person-{number}@example.org")
        await mint(database, a_reservation(f"enrolment-{number}", mailbox=mailbox))


async def add_every_kind_of_secret(database: Database) -> None:
    firm = an_organization(organization_id="org-2", slug="firm", domains=frozenset())
    sealed = SEALER.seal(b"smtp password", SMTP_PASSWORD)
    await add_organization(
        database, replace(firm, smart_host=replace(smart_host_of(firm), sealed_password=sealed))
    )
    ca_key = SEALER.seal(b"ca key", CA_KEY)
    await SqlIssuers(database, node="node-1").add(an_issuer("issuing-2", sealed_key=ca_key), an_event())
    issuing = SqlIssuing(database, node="node-1")
    await issuing.request(
        PendingIssuer(
            issuer_id="issuing-3",
            subject="CN=issuing-3",
            request=b"request",
            sealed_key=SEALER.seal(b"ca key to be", replace(CA_KEY, record_id="issuing-3")),
            organization_id=None,
            created_at=NOW,
        )
    )
    await mint(database)


async def test_keys_are_listed_by_name_the_oldest_first(master_keys: SqlMasterKeys) -> None:
    await master_keys.register("master-2", an_event())

    assert await master_keys.ids() == ["master-1", "master-2"]


async def test_a_key_is_registered_once(master_keys: SqlMasterKeys) -> None:
    with pytest.raises(AlreadyExists):
        await master_keys.register("master-1", an_event())


async def test_every_kind_of_secret_is_wrapped_anew(database: Database, master_keys: SqlMasterKeys) -> None:
    await add_every_kind_of_secret(database)
    await master_keys.register(NEW_KEY.key_id, an_event())

    assert await master_keys.rewrap(ROTATED) == 5

    firm = await SqlOrganizations(database, node="node-1").by_slug("firm")
    (enrolment,) = [enrolment async for enrolment in SqlStoreInspector(database).enrolments()]
    hierarchy = await SqlIssuers(database, node="node-1").hierarchy()
    sealed_issuer = next(one for one in hierarchy.issuers if one.key_is_here)
    (pending,) = await SqlIssuing(database, node="node-1").pending()
    assert unsealed(pending.sealed_key, replace(CA_KEY, record_id="issuing-3")) == b"ca key to be"
    assert unsealed(smart_host_of(firm).sealed_password, SMTP_PASSWORD) == b"smtp password"
    assert unsealed(sealed_issuer.sealed_key, CA_KEY) == b"ca key"
    assert unsealed(enrolment.sealed_key, recipient_key_identity("enrolment-1", "org-1")) == (
        b"key of enrolment-1"
    )
    assert unsealed(enrolment.sealed_password, relay_password_identity("enrolment-1", "org-1")) == (
        b"password of enrolment-1"
    )


def unsealed(secret: SealedSecret | None, identity: SecretIdentity) -> bytes:
    assert secret is not None
    return NEW_ALONE.unseal(secret, identity)


@pytest.mark.parametrize("batch", [1, 2, 5, 100])
async def test_batches_of_any_size_reach_every_secret(
    database: Database, master_keys: SqlMasterKeys, batch: int
) -> None:
    await mint_several(database, 5)
    await master_keys.register(NEW_KEY.key_id, an_event())

    assert await master_keys.rewrap(ROTATED, batch=batch) == 10
    assert await master_keys.rewrap(ROTATED, batch=batch) == 0


async def test_a_rotation_goes_on_where_it_was_interrupted(store: Store, master_keys: SqlMasterKeys) -> None:
    await mint_several(store.database, 5)
    await master_keys.register(NEW_KEY.key_id, an_event())

    with pytest.raises(SealBroken):
        await master_keys.rewrap(InterruptedSealer(after=3), batch=2)

    # Two batches of two were to be; the second broke off and was undone.
    assert await wrapped_by(store, NEW_KEY) == 2
    assert await master_keys.rewrap(ROTATED, batch=2) == 8
    await master_keys.drop(MASTER_KEY.key_id, an_event())


async def wrapped_by(store: Store, key: MasterKey) -> object:
    ((count,),) = await store.rows(
        f"SELECT count(*) FROM held_keys WHERE key_master_key_id = '{key.key_id}'"  # noqa: S608 - a constant
    )
    return count


async def test_a_key_that_a_secret_needs_cannot_be_dropped(
    database: Database, master_keys: SqlMasterKeys
) -> None:
    await mint(database)

    with pytest.raises(ConfigurationRefused) as refused:
        await master_keys.drop(MASTER_KEY.key_id, an_event())

    assert "master-1" in str(refused.value)
    assert await master_keys.ids() == ["master-1"]


async def test_a_key_that_no_secret_needs_is_dropped(store: Store, master_keys: SqlMasterKeys) -> None:
    await add_every_kind_of_secret(store.database)
    await master_keys.register(NEW_KEY.key_id, an_event())
    await master_keys.rewrap(ROTATED)

    await master_keys.drop(MASTER_KEY.key_id, an_event(subject="dropped"))

    assert await master_keys.ids() == ["master-2"]
    assert await store.rows("SELECT 1 FROM audit_events WHERE subject = 'dropped'") == [(1,)]


async def test_an_unknown_key_cannot_be_dropped(master_keys: SqlMasterKeys) -> None:
    with pytest.raises(Unknown):
        await master_keys.drop("master-9", an_event())


async def test_nothing_can_be_sealed_under_a_key_that_was_dropped(
    database: Database, master_keys: SqlMasterKeys
) -> None:
    """As by a process that has not heard of the rotation."""
    await master_keys.drop(MASTER_KEY.key_id, an_event())

    with pytest.raises(StoreUnavailable):
        await mint(database)


async def test_secrets_that_were_destroyed_are_passed_over(store: Store, master_keys: SqlMasterKeys) -> None:
    await mint_several(store.database, 2)
    await store.sql(
        "UPDATE held_keys SET key_master_key_id = NULL, key_wrapped_key = NULL, key_ciphertext = NULL"
    )
    await master_keys.register(NEW_KEY.key_id, an_event())

    assert await master_keys.rewrap(ROTATED) == 2


class InterruptedSealer(Sealer):
    """Fails at the secret after so many."""

    def __init__(self, *, after: int) -> None:
        super().__init__(MasterKeyring(active=NEW_KEY, retired=(MASTER_KEY,)))
        self._left = iter(range(after))

    def rewrap(self, sealed: SealedSecret, identity: SecretIdentity) -> SealedSecret:
        if next(self._left, None) is None:
            raise SealBroken(kind=identity.kind, record_id=identity.record_id)
        return super().rewrap(sealed, identity)
