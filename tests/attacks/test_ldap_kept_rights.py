"""Rights that were taken away must not live on in connections that are open (CVE-2025-49602 and its kin)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import update

from directory.audit import AuditKind
from directory.callers import HeldCertificate
from directory.ldap.codes import ResultCode
from directory.ldap.settings import LdapSettings
from directory.store.callers import SqlCallerStore
from directory.store.database import Database
from directory.store.tables import gateways, organizations
from directory.tokens import TokenKind, issue_token
from tests.contracts.world import NOW, Store, an_event, import_certificate, mint
from tests.directory.builders import a_gateway
from tests.directory.ldap.network import Client, client_of, serving
from tests.directory.ldap.stored import Stored
from tests.directory.ldap.wire import ReadEntry, ReadResult, bind, mail, search

# What is stored keeps its contract on both databases; what open connections make of it needs one.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)

OFTEN = replace(LdapSettings(), rights=0.02)
SELDOM = replace(LdapSettings(), rights=3600)
LEAVER = a_gateway(gateway_id="leaver", name="leaver")
TOKEN = issue_token(TokenKind.GATEWAY)


async def disable_gateway(database: Database) -> None:
    callers = SqlCallerStore(database, node="node-1")
    await callers.disable_gateway("leaver", "org-1", an_event(AuditKind.GATEWAY_DISABLED))


async def disable_organization(database: Database) -> None:
    await database.write(lambda one: one.execute(update(organizations).values(disabled_at=NOW)).close())


async def give_another_token(database: Database) -> None:
    await database.write(
        lambda one: one.execute(
            update(gateways).where(gateways.c.name == "leaver").values(token_id="another", token_digest=b"d")
        ).close()
    )


Change = Callable[[Database], Awaitable[None]]


@asynccontextmanager
async def logged_in(store: Store, settings: LdapSettings) -> AsyncIterator[tuple[Client, Stored]]:
    callers = SqlCallerStore(store.database, node="node-1")
    await callers.add_gateway(LEAVER, token_id=TOKEN.token_id, token_digest=TOKEN.digest, event=an_event())
    directory = Stored(store.database)
    async with serving(directory, settings=settings) as served, client_of(served) as client:
        await client.send(bind("cn=leaver,ou=gateways,o=directory", TOKEN.text))
        assert (await client.result()).code is ResultCode.SUCCESS
        yield client, directory


async def found(client: Client, address: str) -> int:
    await client.send(search(mail(address)))
    count = 0
    while isinstance(response := await client.response(), ReadEntry):
        count += 1
    assert isinstance(response, ReadResult)
    assert response.code is ResultCode.SUCCESS
    return count


@pytest.mark.parametrize("change", [disable_gateway, disable_organization, give_another_token])
async def test_the_session_ends_with_a_notice(store: Store, change: Change) -> None:
    async with logged_in(store, OFTEN) as (client, _):
        await change(store.database)

        (notice,) = await client.rest()

        assert isinstance(notice, ReadResult)
        assert notice.code is ResultCode.STRONGER_AUTH_REQUIRED


@pytest.mark.parametrize("change", [disable_gateway, disable_organization])
async def test_before_it_ends_it_is_powerless_already(store: Store, change: Change) -> None:
    await import_certificate(store.database)
    async with logged_in(store, SELDOM) as (client, directory):
        assert await found(client, "anna@example.org") == 1
        assert await found(client, "new@example.org") == 1

        await change(store.database)

        assert await found(client, "anna@example.org") == 0
        assert await found(client, "newer@example.org") == 0
        assert directory.mints == ["new@example.org"]


async def test_an_isolated_organization_sees_others_certificates_no_more(store: Store) -> None:
    await mint(store.database)
    async with logged_in(store, SELDOM) as (client, directory):
        assert await found(client, "anna@example.org") == 1

        await store.database.write(
            lambda one: one.execute(update(organizations).values(isolated=True)).close()
        )

        await found(client, "anna@example.org")
        assert directory.mints == ["anna@example.org"]  # it had to get one of its own


async def test_a_session_begun_by_a_certificate_is_not_good_without_it(store: Store) -> None:
    digest = bytes(range(32))
    credential = HeldCertificate(sha256=digest)
    callers = SqlCallerStore(store.database, node="node-1")
    await callers.set_gateway_certificate("gw", "org-1", digest, an_event())
    directory = Stored(store.database)
    assert await directory.still_good((credential,)) == {credential: a_gateway()}

    await callers.set_gateway_certificate("gw", "org-1", None, an_event())

    assert await directory.still_good((credential,)) == {}
