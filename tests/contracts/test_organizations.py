"""The contract of `OrganizationRegister`."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from ca.sealing import SecretIdentity, SecretKind
from directory.audit import AuditKind
from directory.errors import AlreadyExists, StoreUnavailable, Unknown
from directory.organization import (
    Correspondence,
    Dkim,
    KeyDelivery,
    PasswordMail,
    SmartHost,
    SmtpSecurity,
    Webhook,
    dkim_key_identity,
    webhook_secret_identity,
)
from directory.store.database import Database
from directory.store.organizations import SqlOrganizations
from tests.contracts.world import SEALER, Store, an_event
from tests.directory.builders import an_organization, smart_host_of

FIRM = replace(
    an_organization(organization_id="org-2", slug="firm", domains=frozenset({"firm.org", "firm.net"})),
    smart_host=SmartHost(
        host="mail.firm.org",
        port=465,
        security=SmtpSecurity.IMPLICIT,
        username="pushpki",
        sealed_password=SEALER.seal(
            b"hunter2",
            SecretIdentity(kind=SecretKind.SMTP_PASSWORD, record_id="org-2", organization_id="org-2"),
        ),
    ),
    isolated=True,
)


@pytest.fixture
def organizations(database: Database) -> SqlOrganizations:
    return SqlOrganizations(database, node="node-1")


async def test_an_organization_comes_back_as_it_was_added(organizations: SqlOrganizations) -> None:
    await organizations.add(FIRM, an_event())

    assert await organizations.by_slug("firm") == FIRM


DIRECT_FIRM = replace(
    FIRM,
    name="Firm & Partners",
    mail_from=Mailbox.parse("keys@firm.net"),
    smart_host=None,
    contact="+49 30 7654321",
    correspondence=Correspondence(
        language="de",
        sender_name="Firm",
        key_delivery=KeyDelivery.BOTH,
        package_chain=False,
        package_formats={"example.org": KeyPackageFormat.MODERN},
        bounce_address=Mailbox.parse("bounces@firm.net"),
        dkim=Dkim(
            selector="s1",
            sealed_key=SEALER.seal(b"dkim", dkim_key_identity("org-2")),
        ),
        webhook=Webhook(
            url="https://firm.net/hook",
            sealed_secret=SEALER.seal(b"webhook", webhook_secret_identity("org-2")),
        ),
        password_mail=PasswordMail(mailbox=Mailbox.parse("desk@firm.net"), certificate=b"certificate"),
        notices_to=Mailbox.parse("help@firm.net"),
        relay_lifetime=timedelta(days=14),
    ),
)


async def test_an_organization_that_changed_comes_back_as_it_is(
    store: Store, organizations: SqlOrganizations
) -> None:
    await organizations.add(FIRM, an_event())

    await organizations.change(DIRECT_FIRM, an_event(AuditKind.ORGANIZATION_CHANGED, subject="firm"))

    assert await organizations.by_slug("firm") == DIRECT_FIRM
    assert await organizations.by_slug("hospital") == an_organization()
    assert await store.rows("SELECT kind, subject FROM audit_events WHERE subject = 'firm'") == [
        ("organization.changed", "firm")
    ]
    await organizations.change(FIRM, an_event())
    assert await organizations.by_slug("firm") == FIRM


async def test_a_change_does_not_take_a_domain_from_somebody_else(organizations: SqlOrganizations) -> None:
    await organizations.add(FIRM, an_event())
    greedy = replace(FIRM, domains=FIRM.domains | {"hospital.org"})

    with pytest.raises(AlreadyExists):
        await organizations.change(greedy, an_event())

    assert await organizations.by_slug("firm") == FIRM


async def test_what_is_not_there_cannot_change(organizations: SqlOrganizations) -> None:
    with pytest.raises(Unknown):
        await organizations.change(FIRM, an_event())


async def test_all_are_listed_by_slug(organizations: SqlOrganizations) -> None:
    await organizations.add(FIRM, an_event())

    assert await organizations.all() == [FIRM, an_organization()]


async def test_adding_one_is_an_event(store: Store, organizations: SqlOrganizations) -> None:
    await organizations.add(FIRM, an_event(AuditKind.ORGANIZATION_ADDED, subject="firm"))

    assert await store.rows("SELECT kind, subject FROM audit_events WHERE node = 'node-1'") == [
        ("organization.added", "firm")
    ]


async def test_an_unknown_slug_is_refused(organizations: SqlOrganizations) -> None:
    with pytest.raises(Unknown) as refused:
        await organizations.by_slug("nobody")

    assert (refused.value.kind, refused.value.name) == ("organization", "nobody")


async def test_a_slug_is_given_once(organizations: SqlOrganizations) -> None:
    with pytest.raises(AlreadyExists) as refused:
        await organizations.add(replace(FIRM, slug="hospital"), an_event())

    assert (refused.value.kind, refused.value.name) == ("organization", "hospital")


async def test_a_domain_belongs_to_one_organization(store: Store, organizations: SqlOrganizations) -> None:
    both = frozenset({"firm.org", "hospital.org"})

    with pytest.raises(AlreadyExists) as refused:
        await organizations.add(replace(FIRM, domains=both), an_event())

    assert (refused.value.kind, refused.value.name) == ("domain", "hospital.org")
    assert await store.rows("SELECT domain FROM organization_domains") == [("hospital.org",)]
    assert await store.count("organizations") == 1


async def test_a_password_under_a_master_key_nobody_registered_is_refused(
    organizations: SqlOrganizations,
) -> None:
    host = smart_host_of(FIRM)
    assert host.sealed_password is not None
    unknown = replace(host.sealed_password, master_key_id="master-9")
    firm = replace(FIRM, smart_host=replace(host, sealed_password=unknown))

    with pytest.raises(StoreUnavailable):
        await organizations.add(firm, an_event())
