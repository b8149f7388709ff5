"""The issuers: added, made active, never changed otherwise."""

from datetime import timedelta

import pytest

from ca.pkcs11 import TokenKey
from ca.profiles import Purpose
from directory.audit import AuditKind
from directory.errors import AlreadyExists, IssuerEnded, Unknown
from directory.organization import SHARED_SCOPE
from directory.store import issuers as issuer_rows
from directory.store.crls import SqlCrlStore
from directory.store.database import Database
from directory.store.issuers import SqlIssuers
from directory.store.ocsp import SqlResponders
from tests.contracts.world import NOW, Store, an_event, an_issuer
from tests.directory.builders import an_organization

DAY = timedelta(days=1)


@pytest.fixture
def issuers(database: Database) -> SqlIssuers:
    return SqlIssuers(database, node="node-1")


async def test_issuers_come_back_as_they_were_added(issuers: SqlIssuers) -> None:
    later = an_issuer(
        "issuing-2", organization_id=an_organization().organization_id, active_from=None, created_at=NOW + DAY
    )
    await issuers.add(later, an_event(AuditKind.ISSUER_CREATED))

    hierarchy = await issuers.hierarchy()

    root = an_issuer("root-1", parent_id=None, purpose=Purpose.ROOT_CA)
    assert sorted(hierarchy.issuers, key=lambda one: one.issuer_id) == [an_issuer(), later, root]
    assert hierarchy.issuers[-1] == later
    assert hierarchy.chain("issuing-2") == (b"certificate of issuing-2", b"certificate of root-1")


async def test_a_key_in_a_token_is_known_by_where_it_is(store: Store, issuers: SqlIssuers) -> None:
    key = TokenKey(token="hsm", key_id="0a0b")
    in_token = an_issuer("issuing-2", token_key=key, created_at=NOW + DAY)

    await issuers.add(in_token, an_event())

    (*_, last) = (await issuers.hierarchy()).issuers
    assert last == in_token
    assert last.key_is_here
    found = await SqlCrlStore(store.database, node="node-1").issuers()
    assert [one.token_key for one in found] == [None, None, key]
    standings = await SqlResponders(store.database, node="node-1").standings()
    assert [(one.token_key, one.sealed_key) for one in standings] == [(None, None), (key, None)]


async def test_a_key_is_one_issuers(store: Store, issuers: SqlIssuers) -> None:
    with pytest.raises(AlreadyExists) as refused:
        await issuers.add(an_issuer(), an_event())

    assert (refused.value.kind, refused.value.name) == ("issuer", "issuing-1")
    assert await store.rows("SELECT 1 FROM audit_events WHERE node = 'node-1'") == []


async def test_an_issuer_becomes_active_at_the_moment_that_is_set_down(
    store: Store, issuers: SqlIssuers
) -> None:
    await issuers.add(an_issuer("issuing-2", active_from=None), an_event())

    await issuers.activate("issuing-2", NOW + DAY, an_event(AuditKind.ISSUER_ACTIVATED))

    hierarchy = await issuers.hierarchy()
    for moment, expected in ((NOW, "issuing-1"), (NOW + DAY, "issuing-2")):
        signer = next(one for one in hierarchy.issuers if one.issuer_id == expected)
        assert hierarchy.state(signer, moment) == "active"
    assert await store.rows("SELECT kind FROM audit_events WHERE kind = 'issuer.activated'") == [
        ("issuer.activated",)
    ]


async def test_nobody_unknown_becomes_active(issuers: SqlIssuers) -> None:
    with pytest.raises(Unknown):
        await issuers.activate("issuing-9", NOW, an_event())


async def test_a_root_without_its_key_is_kept_for_the_chain(issuers: SqlIssuers) -> None:
    hierarchy = await issuers.hierarchy()
    root = next(issuer for issuer in hierarchy.issuers if issuer.purpose is Purpose.ROOT_CA)

    assert not root.key_is_here
    assert hierarchy.signer(SHARED_SCOPE, NOW) is None


async def test_what_refers_to_a_valid_issuer_may_go_on(database: Database) -> None:
    await database.write(lambda connection: issuer_rows.hold(connection, "issuing-1"))


async def test_a_revoked_issuer_is_not_held(store: Store) -> None:
    await store.sql("UPDATE issuers SET revoked_at = created_at WHERE id = 'issuing-1'")

    with pytest.raises(IssuerEnded):
        await store.database.write(lambda connection: issuer_rows.hold(connection, "issuing-1"))


async def test_a_revoked_issuer_does_not_become_active(store: Store, issuers: SqlIssuers) -> None:
    await store.sql("UPDATE issuers SET revoked_at = created_at WHERE id = 'issuing-1'")

    with pytest.raises(Unknown):
        await issuers.activate("issuing-1", NOW, an_event())
