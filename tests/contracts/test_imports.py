"""The contract of `ImportStore`: all or nothing, once, and found before what was minted."""

import pytest
from cryptography import x509

from ca.address import Mailbox, MailDomain
from directory.errors import AlreadyExists, KeyBlocked
from directory.importing import ImportedCertificate, read_certificate
from directory.lookup import Origin
from directory.organization import SHARED_SCOPE
from directory.revocation import RevocationReason
from directory.store.audit_log import read_chain
from directory.store.blocked_keys import SqlBlockedKeys
from directory.store.imports import SqlImports
from directory.store.lookup import SqlDirectoryReader
from directory.store.revocations import SqlRevocationStore
from tests.contracts.world import ANNA, NOW, Store, add_organization, an_event, mint
from tests.directory.builders import a_gateway, an_organization
from tests.directory.foreign import a_foreign_certificate, der

CERTIFICATE = read_certificate(der(a_foreign_certificate(x509.RFC822Name(str(ANNA)))), NOW)
BERT = Mailbox.parse("bert@example.org")


def imported(
    addressee: Mailbox | MailDomain = ANNA, *, certificate_id: str = "imported-1", scope: str = SHARED_SCOPE
) -> ImportedCertificate:
    return ImportedCertificate(
        certificate_id=certificate_id, addressee=addressee, scope=scope, certificate=CERTIFICATE
    )


async def add(store: Store, *certificates: ImportedCertificate) -> None:
    events = [an_event(subject=each.certificate_id) for each in certificates]
    await SqlImports(store.database, node="node-1").add(certificates, NOW, events)


async def found(store: Store, key: str = ANNA.key) -> list[bytes]:
    reader = SqlDirectoryReader(store.database)
    return [each.der for each in await reader.live_certificates(key, a_gateway(), NOW)]


async def test_an_imported_certificate_goes_before_a_minted_one(store: Store) -> None:
    enrolment = await mint(store.database)
    await add(store, imported())

    best = await SqlDirectoryReader(store.database).best_certificate(ANNA.key, a_gateway(), NOW)

    assert best is not None
    assert (best.origin, best.serial, best.not_after) == (
        Origin.FOUND,
        CERTIFICATE.serial,
        CERTIFICATE.not_after,
    )
    assert await found(store) == [CERTIFICATE.der, enrolment.certificate.der]


async def test_one_bound_to_a_domain_is_found_under_the_domain(store: Store) -> None:
    await add(store, imported(MailDomain.parse("example.org")))

    assert await found(store, "example.org") == [CERTIFICATE.der]
    assert await found(store) == []


async def test_each_has_its_event_in_the_audit_log(store: Store) -> None:
    await add(store, imported(), imported(BERT, certificate_id="imported-2"))

    chain = [chained async for chained in read_chain(store.database, "node-1", 10)]
    assert [chained.event.subject for chained in chain] == ["imported-1", "imported-2"]


async def test_all_are_imported_or_none(store: Store) -> None:
    await add(store, imported(BERT))

    with pytest.raises(AlreadyExists):
        await add(store, imported(certificate_id="imported-2"), imported(BERT, certificate_id="imported-3"))

    assert await found(store) == []


async def test_a_certificate_that_was_revoked_does_not_come_back(store: Store) -> None:
    await add(store, imported())
    revocations = SqlRevocationStore(store.database, node="node-1")
    (revocable,) = await revocations.by_address(ANNA, NOW)
    await revocations.revoke(revocable, reason=RevocationReason.SUPERSEDED, at=NOW, event=an_event())

    with pytest.raises(AlreadyExists):
        await add(store, imported(certificate_id="imported-2"))

    assert await found(store) == []


async def test_an_isolated_organizations_own_is_seen_by_nobody_else(store: Store) -> None:
    isolated = await add_organization(
        store.database,
        an_organization(organization_id="org-2", slug="firm", domains=frozenset(), isolated=True),
    )
    await add(store, imported(scope="org-2"))

    reader = SqlDirectoryReader(store.database)
    assert await found(store) == []
    assert len(await reader.live_certificates(ANNA.key, isolated, NOW)) == 1


async def test_no_certificate_with_a_blocked_key_comes_in(store: Store) -> None:
    await SqlBlockedKeys(store.database, node="node-1").block([CERTIFICATE.key_sha256], NOW, an_event())

    with pytest.raises(KeyBlocked) as blocked:
        await add(store, imported())

    assert blocked.value.key_sha256 == CERTIFICATE.key_sha256.hex()
    assert await found(store) == []


async def test_a_compromised_key_does_not_come_back_in_another_certificate(store: Store) -> None:
    await add(store, imported())
    revocations = SqlRevocationStore(store.database, node="node-1")
    (revocable,) = await revocations.by_address(ANNA, NOW)
    await revocations.revoke(revocable, reason=RevocationReason.KEY_COMPROMISE, at=NOW, event=an_event())
    renewed = read_certificate(der(a_foreign_certificate(x509.RFC822Name(str(ANNA)), serial=7)), NOW)
    again = ImportedCertificate(
        certificate_id="imported-2", addressee=ANNA, scope=SHARED_SCOPE, certificate=renewed
    )

    with pytest.raises(KeyBlocked):
        await add(store, again)
