"""The contracts of `CallerStore` and `CallerRegister`: who holds a token, adding callers, disabling them."""

import pytest

from directory.audit import AuditKind
from directory.callers import Authentication
from directory.errors import AlreadyExists, Unknown
from directory.organization import SHARED_SCOPE
from directory.store.callers import SqlCallerStore
from directory.store.database import Database
from directory.tokens import TokenKind, issue_token
from tests.contracts.world import NOW, Store, add_organization, an_event
from tests.directory.builders import a_gateway, an_agent, an_organization


@pytest.fixture
def callers(database: Database) -> SqlCallerStore:
    return SqlCallerStore(database, node="node-1")


async def test_a_gateway_is_found_by_its_token(callers: SqlCallerStore) -> None:
    credential = await callers.gateway_by_token("token-of-gateway-1")

    assert credential is not None
    assert credential.gateway == a_gateway()
    assert credential.token_digest == b"digest"


async def test_an_agent_is_found_by_his_token(callers: SqlCallerStore) -> None:
    credential = await callers.agent_by_token("token-of-agent-1")

    assert credential is not None
    assert credential.agent == an_agent()


async def test_a_token_of_one_kind_is_none_of_the_other(callers: SqlCallerStore) -> None:
    assert await callers.gateway_by_token("token-of-agent-1") is None
    assert await callers.agent_by_token("token-of-gateway-1") is None


async def test_an_issued_token_authenticates(callers: SqlCallerStore) -> None:
    token = issue_token(TokenKind.GATEWAY)
    gateway = a_gateway(gateway_id="gateway-2", name="gw-2")
    await callers.add_gateway(gateway, token_id=token.token_id, token_digest=token.digest, event=an_event())

    assert await Authentication(callers).gateway(token.text) == gateway


async def test_the_scope_of_a_gateway_follows_its_organization(
    database: Database, callers: SqlCallerStore
) -> None:
    await add_organization(
        database, an_organization(organization_id="org-2", slug="firm", domains=frozenset(), isolated=True)
    )

    shared = await callers.gateway_by_token("token-of-gateway-1")
    isolated = await callers.gateway_by_token("token-of-gw-firm")

    assert shared is not None
    assert shared.gateway.scope == SHARED_SCOPE
    assert isolated is not None
    assert isolated.gateway.scope == "org-2"


async def test_the_name_of_a_gateway_is_unique_in_the_whole_directory(callers: SqlCallerStore) -> None:
    with pytest.raises(AlreadyExists) as refused:
        await callers.add_gateway(
            a_gateway(gateway_id="gateway-2"), token_id="t", token_digest=b"d", event=an_event()
        )

    assert (refused.value.kind, refused.value.name) == ("gateway", "gw")


async def test_an_agent_is_added_once_per_organization(database: Database, callers: SqlCallerStore) -> None:
    await add_organization(
        database, an_organization(organization_id="org-2", slug="firm", domains=frozenset())
    )
    elsewhere = an_agent(agent_id="agent-2", organization_id="org-2")
    await callers.add_agent(elsewhere, token_id="t2", token_digest=b"d", event=an_event())

    with pytest.raises(AlreadyExists) as refused:
        await callers.add_agent(
            an_agent(agent_id="agent-3"), token_id="t3", token_digest=b"d", event=an_event()
        )

    assert (refused.value.kind, refused.value.name) == ("agent", "agent@hospital.org")


async def test_a_refused_addition_leaves_no_event(store: Store, callers: SqlCallerStore) -> None:
    with pytest.raises(AlreadyExists):
        await callers.add_gateway(
            a_gateway(gateway_id="gateway-2"), token_id="t", token_digest=b"d", event=an_event()
        )

    assert await store.rows("SELECT 1 FROM audit_events WHERE node = 'node-1'") == []


async def test_a_disabled_gateway_is_nobody(store: Store, callers: SqlCallerStore) -> None:
    await callers.disable_gateway("gw", "org-1", an_event(AuditKind.GATEWAY_DISABLED))

    assert await callers.gateway_by_token("token-of-gateway-1") is None
    (listed,) = await callers.gateways("org-1")
    assert (listed.gateway, listed.created_at, listed.disabled_at) == (a_gateway(), NOW, NOW)
    assert await store.rows("SELECT kind FROM audit_events WHERE node = 'node-1'") == [("gateway.disabled",)]


async def test_a_disabled_agent_is_nobody(callers: SqlCallerStore) -> None:
    await callers.disable_agent("agent@hospital.org", "org-1", an_event(AuditKind.AGENT_DISABLED))

    assert await callers.agent_by_token("token-of-agent-1") is None
    (listed,) = await callers.agents("org-1")
    assert (listed.agent, listed.disabled_at) == (an_agent(), NOW)


async def test_callers_of_a_disabled_organization_are_nobody(store: Store, callers: SqlCallerStore) -> None:
    await store.sql("UPDATE organizations SET disabled_at = '2026-11-01 00:00:00'")

    assert await callers.gateway_by_token("token-of-gateway-1") is None
    assert await callers.agent_by_token("token-of-agent-1") is None


async def test_an_organization_cannot_disable_what_is_anothers(
    database: Database, callers: SqlCallerStore
) -> None:
    await add_organization(
        database, an_organization(organization_id="org-2", slug="firm", domains=frozenset())
    )

    with pytest.raises(Unknown):
        await callers.disable_gateway("gw", "org-2", an_event())
    with pytest.raises(Unknown):
        await callers.disable_agent("agent@hospital.org", "org-2", an_event())

    assert await callers.gateway_by_token("token-of-gateway-1") is not None


async def test_what_is_disabled_stays_so_and_keeps_its_date(callers: SqlCallerStore) -> None:
    await callers.disable_gateway("gw", "org-1", an_event())

    with pytest.raises(Unknown) as refused:
        await callers.disable_gateway("gw", "org-1", an_event())

    assert (refused.value.kind, refused.value.name) == ("gateway", "gw")


async def test_lists_hold_only_the_organizations_own(database: Database, callers: SqlCallerStore) -> None:
    await add_organization(
        database, an_organization(organization_id="org-2", slug="firm", domains=frozenset())
    )

    assert [listed.gateway.name for listed in await callers.gateways("org-2")] == ["gw-firm"]
    assert await callers.agents("org-2") == []
