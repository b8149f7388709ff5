"""The contracts of `CallerStore` and `CallerRegister`: who holds a token, adding callers, disabling them."""

import pytest

from directory.audit import AuditKind
from directory.callers import Authentication, HeldCertificate, HeldToken
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


FINGERPRINT = bytes(range(32))
TOKEN = HeldToken(token_id="token-of-gateway-1")
CERTIFICATE = HeldCertificate(sha256=FINGERPRINT)


async def let_in(callers: SqlCallerStore, sha256: bytes | None = FINGERPRINT, name: str = "gw") -> None:
    await callers.set_gateway_certificate(name, "org-1", sha256, an_event(AuditKind.GATEWAY_CERTIFICATE_SET))


async def test_a_gateway_is_found_by_its_certificate_and_its_token(callers: SqlCallerStore) -> None:
    unknown = HeldCertificate(sha256=bytes(32)), HeldToken(token_id="token-of-agent-1")
    assert await callers.gateways_by_credential((CERTIFICATE, TOKEN)) == {TOKEN: a_gateway()}

    await let_in(callers)

    found = await callers.gateways_by_credential((*unknown, CERTIFICATE, TOKEN))
    assert found == {TOKEN: a_gateway(), CERTIFICATE: a_gateway()}
    assert await callers.gateways_by_credential((CERTIFICATE,)) == {CERTIFICATE: a_gateway()}
    assert await callers.gateways_by_credential(()) == {}


async def test_a_thousand_credentials_are_no_more_trouble_than_one(callers: SqlCallerStore) -> None:
    many = [HeldToken(token_id=f"token-{number}") for number in range(1000)]

    assert await callers.gateways_by_credential((*many, TOKEN)) == {TOKEN: a_gateway()}


async def test_another_certificate_takes_the_place_of_the_first(callers: SqlCallerStore) -> None:
    await let_in(callers)
    await let_in(callers, bytes(32))

    assert await callers.gateways_by_credential((CERTIFICATE,)) == {}
    (listed,) = await callers.gateways("org-1")
    assert listed.certificate_sha256 == bytes(32)


async def test_a_certificate_that_was_taken_away_is_nobodys(store: Store, callers: SqlCallerStore) -> None:
    await let_in(callers)
    await let_in(callers, None)

    assert await callers.gateways_by_credential((CERTIFICATE,)) == {}
    assert len(await store.rows("SELECT 1 FROM audit_events WHERE node = 'node-1'")) == 2


async def test_the_credentials_of_a_disabled_gateway_are_good_no_more(callers: SqlCallerStore) -> None:
    await let_in(callers)
    await callers.disable_gateway("gw", "org-1", an_event(AuditKind.GATEWAY_DISABLED))

    assert await callers.gateways_by_credential((CERTIFICATE, TOKEN)) == {}
    with pytest.raises(Unknown):
        await let_in(callers, bytes(32))


async def test_a_certificate_is_one_gateways(store: Store, callers: SqlCallerStore) -> None:
    second = a_gateway(gateway_id="gateway-2", name="gw-2")
    await callers.add_gateway(second, token_id="t", token_digest=b"d", event=an_event())
    await let_in(callers)
    await let_in(callers)

    with pytest.raises(AlreadyExists) as refused:
        await let_in(callers, name="gw-2")

    assert (refused.value.kind, refused.value.name) == ("certificate of gateway", "gw")
    assert await store.rows("SELECT certificate_sha256 FROM gateways WHERE name = 'gw-2'") == [(None,)]


async def test_a_certificate_is_given_to_gateways_of_the_organization_only(callers: SqlCallerStore) -> None:
    for name, organization in (("gw", "org-2"), ("nobody", "org-1")):
        with pytest.raises(Unknown):
            await callers.set_gateway_certificate(name, organization, FINGERPRINT, an_event())
