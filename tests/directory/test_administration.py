"""What an operator adds and takes away, and that nothing of it happens without its audit event."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ca.address import Mailbox
from directory.administration import Administration
from directory.audit import AuditEvent, AuditKind
from directory.callers import Authentication
from directory.errors import AlreadyExists, ConfigurationRefused, StoreUnavailable, Unknown
from directory.lookup import Absent, Lookup, Question
from directory.organization import SHARED_SCOPE, Organization
from directory.policy import MintPolicy, Refusal
from directory.store.audit_log import read_chain
from directory.store.callers import SqlCallerStore
from directory.store.lookup import SqlDirectoryReader
from directory.store.organizations import SqlOrganizations
from directory.tokens import TokenKind, read_token
from tests.builders import Authority
from tests.contracts.test_mint import failing_inserts_into
from tests.contracts.world import ANNA, Store, mint
from tests.directory.builders import an_organization
from tests.directory.clocks import StoppedClock
from tests.directory.minting import ReadyKeys, an_enroller

# The registers keep their contract on both databases; what is made of it needs one.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)

OPERATOR = "operator:olga"
DESK = Mailbox.parse("Desk@hospital.org")


@pytest.fixture
def administration(store: Store) -> Administration:
    return Administration(
        organizations=SqlOrganizations(store.database, node="desk"),
        callers=SqlCallerStore(store.database, node="desk"),
        clock=StoppedClock(),
        actor=OPERATOR,
    )


@pytest.fixture
def authentication(store: Store) -> Authentication:
    return Authentication(SqlCallerStore(store.database, node="desk"))


def a_firm(**deviations: object) -> Organization:
    firm = replace(
        an_organization(organization_id="org-2", slug="firm", domains=frozenset({"firm.com"})),
        mail_from=Mailbox.parse("keys@firm.com"),
    )
    return replace(firm, **deviations)  # type: ignore[arg-type]  # a deviation is of its field's type


async def events(store: Store) -> list[AuditEvent]:
    return [chained.event async for chained in read_chain(store.database, "desk", 100)]


async def refusal(administration: Administration, organization: Organization) -> ConfigurationRefused:
    with pytest.raises(ConfigurationRefused) as refused:
        await administration.add_organization(organization)
    return refused.value


async def test_an_organization_is_added_as_described(store: Store, administration: Administration) -> None:
    firm = a_firm(domains=frozenset({"firm.com", "xn--bcher-kva.example"}), isolated=True)

    await administration.add_organization(firm)

    assert await SqlOrganizations(store.database, node="desk").by_slug("firm") == firm
    (event,) = await events(store)
    assert (event.kind, event.actor) == (AuditKind.ORGANIZATION_ADDED, OPERATOR)
    assert (event.subject, event.organization_id, event.detail) == ("firm", "org-2", {"slug": "firm"})


@pytest.mark.parametrize("slug", ["a", "a1", "city-hospital", "a.b_c", "x" * 64])
async def test_accepts_slugs_that_are_easily_typed(administration: Administration, slug: str) -> None:
    await administration.add_organization(a_firm(slug=slug))


@pytest.mark.parametrize(
    "slug", ["", "A", "-a", "a-", ".", "a b", "a/b", "ä", "a\n", "x" * 65, "a\x00", "a,o=b"]
)
async def test_refuses_a_slug_that_is_not_easily_typed(
    store: Store, administration: Administration, slug: str
) -> None:
    refused = await refusal(administration, a_firm(slug=slug))

    assert refused.key == "slug"
    assert repr(slug[:40])[1:-1] in refused.reason
    assert "a-z" in refused.remedy
    assert await events(store) == []


@pytest.mark.parametrize("text", ["", " City", "City ", "a\nb", "a\u202eb", "x" * 201])
async def test_refuses_a_name_that_is_not_one_visible_line(administration: Administration, text: str) -> None:
    assert (await refusal(administration, a_firm(name=text))).key == "name"


async def test_refuses_a_contact_that_is_not_one_visible_line(administration: Administration) -> None:
    assert (await refusal(administration, a_firm(contact="a\r\nBcc: b"))).key == "contact"


async def test_an_organization_needs_no_contact(administration: Administration) -> None:
    await administration.add_organization(a_firm(contact=""))


@pytest.mark.parametrize("sender", ["keys@hospital.org", "keys@evilfirm.com", "keys@firm.com.evil.org"])
async def test_refuses_a_sender_in_anothers_name(administration: Administration, sender: str) -> None:
    refused = await refusal(administration, a_firm(mail_from=Mailbox.parse(sender)))

    assert refused.key == "mail-from"
    assert sender in refused.reason
    assert "firm.com" in refused.remedy


async def test_a_sender_may_be_in_a_domain_below(administration: Administration) -> None:
    await administration.add_organization(a_firm(mail_from=Mailbox.parse("keys@mail.firm.com")))


async def test_an_organization_without_a_domain_has_no_sender(administration: Administration) -> None:
    assert (await refusal(administration, a_firm(domains=frozenset()))).key == "mail-from"


@pytest.mark.parametrize(
    ("taken", "deviation"),
    [
        (("organization", "hospital"), {"slug": "hospital"}),
        (("domain", "hospital.org"), {"domains": frozenset({"firm.com", "hospital.org"})}),
    ],
)
async def test_refuses_what_another_organization_has(
    store: Store, administration: Administration, taken: tuple[str, str], deviation: dict[str, object]
) -> None:
    with pytest.raises(AlreadyExists) as exists:
        await administration.add_organization(a_firm(**deviation))

    assert (exists.value.kind, exists.value.name) == taken
    assert await events(store) == []
    with pytest.raises(Unknown):
        await SqlOrganizations(store.database, node="desk").by_slug("firm")


async def test_a_gateways_token_makes_it_known(
    store: Store, administration: Administration, authentication: Authentication
) -> None:
    token = await administration.add_gateway("mailgate", "hospital", may_mint=False)

    gateway = await authentication.named_gateway("mailgate", token.text)
    assert gateway is not None
    assert (gateway.organization_id, gateway.scope, gateway.may_mint) == ("org-1", SHARED_SCOPE, False)
    (event,) = await events(store)
    assert (event.kind, event.actor, event.subject) == (AuditKind.GATEWAY_ADDED, OPERATOR, "mailgate")
    assert event.detail == {"gateway_id": gateway.gateway_id}


async def test_a_gateway_of_an_isolated_organization_sees_its_own_scope(
    administration: Administration, authentication: Authentication
) -> None:
    await administration.add_organization(a_firm(isolated=True))

    token = await administration.add_gateway("mailgate", "firm", may_mint=True)

    gateway = await authentication.gateway(token.text)
    assert gateway is not None
    assert gateway.scope == "org-2"


async def test_an_agents_token_makes_him_known(
    store: Store, administration: Administration, authentication: Authentication
) -> None:
    token = await administration.add_agent(DESK, "hospital")

    agent = await authentication.agent(token.text)
    assert agent is not None
    assert (agent.email, agent.organization_id) == ("desk@hospital.org", "org-1")
    (event,) = await events(store)
    assert (event.kind, event.subject) == (AuditKind.AGENT_ADDED, "desk@hospital.org")
    assert event.detail == {"agent_id": agent.agent_id}


async def test_a_token_is_stored_as_a_digest_and_told_to_nobody_else(
    store: Store, administration: Administration
) -> None:
    token = await administration.add_gateway("mailgate", "hospital", may_mint=True)

    presented = read_token(token.text)
    assert presented is not None
    assert presented.kind is TokenKind.GATEWAY
    secret = token.text.rpartition("_")[2]
    everything = repr(await store.rows("SELECT * FROM gateways")) + repr(
        await store.rows("SELECT * FROM audit_events")
    )
    assert secret not in everything
    assert token.text not in everything
    assert token.text not in repr(token)


@pytest.mark.parametrize("name", ["", "GW", "gw,ou=gateways", "gw+x=y", "g w", "*", "gw\x00"])
async def test_refuses_a_gateways_name_that_a_distinguished_name_would_have_to_escape(
    administration: Administration, name: str
) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        await administration.add_gateway(name, "hospital", may_mint=True)

    assert refused.value.key == "name"


async def test_a_gateways_name_is_unique_in_the_whole_directory(
    store: Store, administration: Administration
) -> None:
    await administration.add_organization(a_firm())

    with pytest.raises(AlreadyExists) as exists:
        await administration.add_gateway("gw", "firm", may_mint=True)

    assert (exists.value.kind, exists.value.name) == ("gateway", "gw")
    assert len(await events(store)) == 1


async def test_an_agent_can_work_for_two_organizations_but_not_twice_for_one(
    administration: Administration,
) -> None:
    await administration.add_organization(a_firm())
    await administration.add_agent(DESK, "hospital")
    await administration.add_agent(DESK, "firm")

    with pytest.raises(AlreadyExists):
        await administration.add_agent(Mailbox.parse("desk@HOSPITAL.org"), "hospital")


async def test_what_belongs_to_nobody_is_refused(administration: Administration) -> None:
    for attempt in (
        administration.add_gateway("mailgate", "nobody", may_mint=True),
        administration.add_agent(DESK, "nobody"),
        administration.disable_gateway("gw", "nobody"),
        administration.disable_agent(DESK, "nobody"),
    ):
        with pytest.raises(Unknown) as unknown:
            await attempt
        assert str(unknown.value) == "no organization 'nobody'"


async def test_a_disabled_gateway_is_nobody_and_its_name_stays_taken(
    store: Store, administration: Administration, authentication: Authentication
) -> None:
    token = await administration.add_gateway("mailgate", "hospital", may_mint=True)

    await administration.disable_gateway("mailgate", "hospital")

    assert await authentication.gateway(token.text) is None
    added, disabled = await events(store)
    assert (disabled.kind, disabled.subject) == (AuditKind.GATEWAY_DISABLED, added.subject)
    with pytest.raises(AlreadyExists):
        await administration.add_gateway("mailgate", "hospital", may_mint=True)
    with pytest.raises(Unknown):
        await administration.disable_gateway("mailgate", "hospital")


async def test_a_gateway_disabled_after_it_authenticated_reads_and_mints_nothing(
    store: Store, administration: Administration, authentication: Authentication, authority: Authority
) -> None:
    token = await administration.add_gateway("mailgate", "hospital", may_mint=True)
    gateway = await authentication.gateway(token.text)
    assert gateway is not None
    await mint(store.database)
    lookup = Lookup(
        reader=SqlDirectoryReader(store.database),
        policy=MintPolicy(),
        minter=an_enroller(store.database, authority, ReadyKeys([])),
        clock=StoppedClock(),
        patience=timedelta(minutes=1),
    )

    await administration.disable_gateway("mailgate", "hospital")

    for mailbox in (ANNA, Mailbox.parse("unknown@example.org")):
        answer = await lookup.answer(Question(mailbox=mailbox, asker=gateway))
        assert answer == Absent(refusal=Refusal.NOT_FOUND)


async def test_another_organizations_gateway_cannot_be_disabled(
    administration: Administration, authentication: Authentication
) -> None:
    await administration.add_organization(a_firm())
    token = await administration.add_gateway("mailgate", "hospital", may_mint=True)

    with pytest.raises(Unknown):
        await administration.disable_gateway("mailgate", "firm")

    assert await authentication.gateway(token.text) is not None


async def test_a_disabled_agent_is_nobody(
    store: Store, administration: Administration, authentication: Authentication
) -> None:
    token = await administration.add_agent(DESK, "hospital")

    await administration.disable_agent(DESK, "hospital")

    assert await authentication.agent(token.text) is None
    added, disabled = await events(store)
    assert (disabled.kind, disabled.subject) == (AuditKind.AGENT_DISABLED, added.subject)
    with pytest.raises(Unknown):
        await administration.disable_agent(DESK, "hospital")


async def test_nothing_happens_without_its_audit_event(store: Store, administration: Administration) -> None:
    async with failing_inserts_into(store, "audit_events"):
        for attempt in (
            administration.add_organization(a_firm()),
            administration.add_gateway("mailgate", "hospital", may_mint=True),
            administration.add_agent(DESK, "hospital"),
            administration.disable_gateway("gw", "hospital"),
        ):
            with pytest.raises(StoreUnavailable):
                await attempt

    assert await store.rows("SELECT slug FROM organizations") == [("hospital",)]
    assert await store.rows("SELECT name FROM gateways WHERE disabled_at IS NULL") == [("gw",)]
    assert await store.rows("SELECT email FROM agents") == [("agent@hospital.org",)]


async def test_a_gateway_is_given_a_certificate_and_it_is_taken_away(
    store: Store, administration: Administration, authentication: Authentication
) -> None:
    digest = bytes(range(32))

    await administration.set_gateway_certificate("gw", "hospital", digest)
    gateway = await authentication.certified_gateway(digest)
    assert gateway is not None
    assert gateway.name == "gw"

    await administration.remove_gateway_certificate("gw", "hospital")
    assert await authentication.certified_gateway(digest) is None

    given, taken_away = await events(store)
    assert (given.kind, given.subject) == (AuditKind.GATEWAY_CERTIFICATE_SET, "gw")
    assert given.detail == {"sha256": digest.hex()}
    assert (taken_away.kind, taken_away.actor) == (AuditKind.GATEWAY_CERTIFICATE_REMOVED, OPERATOR)
