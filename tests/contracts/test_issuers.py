"""The issuers: added, succeeded, never changed."""

from datetime import timedelta

import pytest

from ca.profiles import Purpose
from ca.sealing import SecretIdentity, SecretKind
from directory.errors import AlreadyExists, Unknown
from directory.store.database import Database
from directory.store.issuers import SqlIssuers
from tests.contracts.world import NOW, SEALER, Store, an_event, an_issuer


@pytest.fixture
def issuers(database: Database) -> SqlIssuers:
    return SqlIssuers(database, node="node-1")


async def test_the_active_issuer_comes_with_its_chain_up_to_the_root(issuers: SqlIssuers) -> None:
    active = await issuers.active()

    assert active.issuer == an_issuer()
    assert active.chain == (b"certificate of issuing-1", b"certificate of root-1")


async def test_an_active_issuer_succeeds_the_one_before(issuers: SqlIssuers) -> None:
    sealed_key = SEALER.seal(
        b"key", SecretIdentity(kind=SecretKind.CA_KEY, record_id="issuing-2", organization_id=None)
    )
    later = NOW + timedelta(days=1)
    successor = an_issuer("issuing-2", sealed_key=sealed_key, created_at=later)
    await issuers.add(successor, an_event())

    assert (await issuers.active()).issuer == successor
    assert {issuer.issuer_id: issuer.active for issuer in await issuers.all()} == {
        "root-1": True,
        "issuing-1": False,
        "issuing-2": True,
    }


async def test_an_inactive_issuer_succeeds_nobody(issuers: SqlIssuers) -> None:
    await issuers.add(an_issuer("issuing-2", active=False), an_event())

    assert (await issuers.active()).issuer.issuer_id == "issuing-1"


async def test_without_an_issuing_authority_there_is_no_active_issuer(
    store: Store, issuers: SqlIssuers
) -> None:
    await store.sql("DELETE FROM issuers WHERE id = 'issuing-1'")

    with pytest.raises(Unknown):
        await issuers.active()


async def test_a_key_is_one_issuers(store: Store, issuers: SqlIssuers) -> None:
    with pytest.raises(AlreadyExists) as refused:
        await issuers.add(an_issuer(), an_event())

    assert (refused.value.kind, refused.value.name) == ("issuer", "issuing-1")
    assert (await issuers.active()).issuer.active
    assert await store.rows("SELECT 1 FROM audit_events WHERE node = 'node-1'") == []


async def test_a_root_without_its_key_is_kept_for_the_chain(issuers: SqlIssuers) -> None:
    root = next(issuer for issuer in await issuers.all() if issuer.purpose is Purpose.ROOT_CA)

    assert root.sealed_key is None
    assert root.parent_id is None
