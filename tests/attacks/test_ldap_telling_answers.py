"""Absent, forbidden and not yet minted must be the same to whoever lacks the right: octets, and work done.

Time is compared by what takes it: the statements that are run on the store, one by one.
"""

import pytest

from ca.address import Mailbox
from directory.audit import AuditKind
from directory.callers import Anonymous, Asker
from directory.ldap.requests import SearchRequest, read_message
from directory.ldap.search import SearchPlan, plan_search
from directory.ldap.settings import StartTls
from directory.ldap.tree import Tree
from directory.store.callers import SqlCallerStore
from tests.contracts.world import (
    Store,
    a_reservation,
    add_gateway,
    add_organization,
    an_event,
    import_certificate,
    mint,
)
from tests.directory.builders import a_gateway, an_organization
from tests.directory.ldap.stored import Stored, overheard
from tests.directory.ldap.wire import mail, search

# What an answer tells is decided above the store, which keeps its contract on both databases.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)

KNOWN, FORBIDDEN, ABSENT = "anna@example.org", "secret@example.org", "nobody@example.org"
NEVER_MINTED = "postmaster@example.org"
OUR_OWN = "somebody@hospital.org"
READER = a_gateway(gateway_id="reader", name="reader", may_mint=False)
TREE = Tree("o=directory", StartTls.OFFERED)


@pytest.fixture
async def directory(store: Store) -> Stored:
    """A shared certificate for one, and one for another that only its isolated organization may see."""
    isolated = an_organization(organization_id="org-2", slug="firm", domains=frozenset(), isolated=True)
    gateway = await add_organization(store.database, isolated)
    await add_gateway(store.database, READER)
    await import_certificate(store.database)
    forbidden = a_reservation("enrolment-2", mailbox=Mailbox.parse(FORBIDDEN), gateway=gateway)
    await mint(store.database, forbidden)
    return Stored(store.database)


async def asked(directory: Stored, asker: Asker, address: str) -> tuple[bytes, list[str]]:
    """Return the answer's octets, and what the store was asked for it."""
    request = read_message(search(mail(address))).request
    assert isinstance(request, SearchRequest)
    plan = plan_search(TREE, request, asker)
    assert isinstance(plan, SearchPlan)
    with overheard() as statements:
        outcomes = [await directory.answer(question) for question in plan.questions]
    return plan.responses(1, outcomes), statements


@pytest.mark.parametrize(
    ("asker", "statements", "addresses"),
    [
        (READER, 2, (ABSENT, FORBIDDEN, NEVER_MINTED, OUR_OWN)),
        (Anonymous(may_read=True), 1, (ABSENT, FORBIDDEN, NEVER_MINTED, OUR_OWN)),
        # Without the right to read nothing is looked up for anybody, so that there is nothing to be told.
        (Anonymous(may_read=False), 0, (KNOWN, ABSENT, FORBIDDEN, NEVER_MINTED, OUR_OWN)),
    ],
    ids=["gateway without the right to mint", "anonymous reader", "nobody"],
)
async def test_the_answers_and_the_work_are_the_same(
    directory: Stored, asker: Asker, statements: int, addresses: tuple[str, ...]
) -> None:
    answers = [await asked(directory, asker, address) for address in addresses]

    assert len({octets for octets, _ in answers}) == 1
    assert len({tuple(run) for _, run in answers}) == 1
    assert len(answers[0][1]) == statements
    assert directory.mints == []


async def test_a_disabled_gateway_is_told_as_little_as_nobody(store: Store, directory: Stored) -> None:
    before = await asked(directory, READER, ABSENT)
    callers = SqlCallerStore(store.database, node="node-1")
    await callers.disable_gateway("reader", "org-1", an_event(AuditKind.GATEWAY_DISABLED))

    answers = [await asked(directory, READER, address) for address in (KNOWN, ABSENT, FORBIDDEN)]

    assert {octets for octets, _ in answers} == {before[0]}
    assert {tuple(run) for _, run in answers} == {tuple(before[1])}


async def test_who_may_see_a_certificate_sees_it(directory: Stored) -> None:
    for asker in (READER, Anonymous(may_read=True)):
        octets, _ = await asked(directory, asker, KNOWN)
        assert b"userCertificate;binary" in octets
