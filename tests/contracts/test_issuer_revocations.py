"""An issuing CA ends, with all that it issued, and others are minted in the place of that."""

import pytest

from ca.address import Mailbox
from ca.revocation import RevocationReason, RevokedCertificate
from directory.audit import AuditKind
from directory.errors import ConfigurationRefused, IssuerEnded, Unknown
from directory.issuer_revocation import InterruptedRevocations, IssuerRevocation
from directory.status import Place
from directory.store import issuers as issuer_rows
from directory.store.crls import SqlCrlReader
from directory.store.inspection import SqlStoreInspector
from directory.store.issuer_revocations import SqlIssuerRevocations
from directory.store.issuers import SqlIssuers
from directory.store.lookup import SqlDirectoryReader
from directory.store.mint import SqlMintStore
from tests.contracts.following import events
from tests.contracts.renewing import NEW, OLD, places, renewed, served
from tests.contracts.world import NOW, Store, a_reservation, an_event, an_issuer, mint
from tests.directory.builders import a_gateway
from tests.directory.clocks import StoppedClock

REASON = RevocationReason.CA_COMPROMISE


def a_revocation(store: Store) -> IssuerRevocation:
    return IssuerRevocation(
        store=SqlIssuerRevocations(store.database, node="desk"),
        clock=StoppedClock(NOW),
        actor="operator:olga",
    )


def mailbox(number: int) -> Mailbox:
    return Mailbox.parse(f"person-{number}@example.org")


async def mint_several(store: Store, count: int) -> None:
    for number in range(count):
        await mint(store.database, a_reservation(f"enrolment-{number}", mailbox=mailbox(number)))


async def test_it_signs_nothing_more_and_is_due_on_its_parents_crl(store: Store) -> None:
    await a_revocation(store).revoke("issuing-1", REASON)

    with pytest.raises(IssuerEnded):
        await store.database.write(lambda connection: issuer_rows.hold(connection, "issuing-1"))
    pages = SqlCrlReader(store.database).revoked("root-1", None, NOW)
    listed = [one async for page in pages for one in page]
    assert listed == [RevokedCertificate(serial_number=an_issuer().serial, revoked_at=NOW, reason=REASON)]


async def test_every_certificate_that_it_issued_is_out_and_may_be_minted_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("directory.issuer_revocation.BATCH", 2)
    await mint_several(store, 5)
    told: list[int] = []

    revoked = await a_revocation(store).revoke("issuing-1", REASON, progress=told.append)

    assert (revoked.certificates, told) == (5, [2, 4, 5])
    reader = SqlDirectoryReader(store.database)
    for number in range(5):
        key = mailbox(number).key
        assert await SqlMintStore(store.database, node="x").best_certificate(key, a_gateway(), NOW) is None
        context = await reader.mint_context(key, a_gateway())
        assert context is not None
        assert not context.revoked
    rows = await store.rows("SELECT kind FROM audit_events WHERE node = 'desk' ORDER BY sequence")
    assert rows == [(AuditKind.ISSUER_REVOKED,), *[(AuditKind.CERTIFICATE_REVOKED,)] * 5]
    await SqlIssuers(store.database, node="desk").add(an_issuer("issuing-2"), an_event())
    await mint(store.database, a_reservation("again", mailbox=mailbox(0)))


async def test_renewals_that_others_issued_lead_at_once(store: Store) -> None:
    await renewed(store.database)
    await SqlIssuers(store.database, node="desk").add(an_issuer("issuing-2"), an_event())
    await store.sql(f"UPDATE certificates SET issuer_id = 'issuing-2' WHERE enrolment_id = '{NEW}'")  # noqa: S608

    await a_revocation(store).revoke("issuing-1", REASON)

    assert await places(store) == {OLD: None, NEW: Place.LEADING}
    assert await served(store.database, NOW) == [NEW]
    assert await events(store, AuditKind.CERTIFICATE_LEADS) == [("service", NEW)]


@pytest.mark.parametrize("batch", [1, 2])
async def test_renewals_of_its_own_end_as_well(
    store: Store, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("directory.issuer_revocation.BATCH", batch)
    await renewed(store.database)

    assert (await a_revocation(store).revoke("issuing-1", REASON)).certificates == 2

    assert await places(store) == {OLD: None, NEW: None}
    assert await served(store.database, NOW) == []


async def test_what_is_interrupted_goes_on(store: Store) -> None:
    await mint_several(store, 3)
    issuer = an_issuer()
    interrupted = SqlIssuerRevocations(store.database, node="desk")
    await interrupted.end(issuer, REASON, NOW, an_event())
    await interrupted.end_certificates("issuing-1", "", NOW, "operator:olga", most=1)

    assert (await a_revocation(store).revoke("issuing-1", REASON)).certificates == 2
    assert (await a_revocation(store).revoke("issuing-1", REASON)).certificates == 0
    assert await store.rows("SELECT count(*) FROM audit_events WHERE kind = 'issuer.revoked'") == [(0,)]


class PowerCutError(Exception):
    pass


async def test_a_service_goes_on_with_what_was_interrupted_between_two_batches(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("directory.issuer_revocation.BATCH", 2)
    await mint_several(store, 5)

    def cut(count: int) -> None:
        raise PowerCutError(count)

    with pytest.raises(PowerCutError):
        await a_revocation(store).revoke("issuing-1", REASON, progress=cut)
    inspector = SqlStoreInspector(store.database)
    assert await inspector.unended_issuers(NOW) == ["issuing-1"]

    service = InterruptedRevocations(
        revocation=IssuerRevocation(
            store=SqlIssuerRevocations(store.database, node="node-1"),
            clock=StoppedClock(NOW),
            actor="service",
        ),
        uniform=max,
    )
    await service.look()
    await service.look()

    assert await inspector.unended_issuers(NOW) == []
    assert caplog.text.count("3 certificates of revoked issuers") == 1
    rows = await store.rows(
        "SELECT actor, count(*) FROM audit_events WHERE kind = 'certificate.revoked'"
        " GROUP BY actor ORDER BY actor"
    )
    assert rows == [("operator:olga", 2), ("service", 3)]


async def test_a_service_that_stops_leaves_the_rest_to_the_next_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("directory.issuer_revocation.BATCH", 2)
    await mint_several(store, 5)
    await SqlIssuerRevocations(store.database, node="desk").end(an_issuer(), REASON, NOW, an_event())

    assert await a_revocation(store).resume(is_stopped=lambda: True) == 2
    assert await a_revocation(store).resume() == 3
    assert await a_revocation(store).resume() == 0


async def test_others_and_what_ended_before_are_left_alone(store: Store) -> None:
    await mint_several(store, 3)
    await SqlIssuers(store.database, node="desk").add(an_issuer("issuing-2"), an_event())
    await store.sql(
        "UPDATE certificates SET issuer_id = 'issuing-2' WHERE enrolment_id = 'enrolment-0'",
        "UPDATE certificates SET revoked_at = not_before, revocation_reason = 'keyCompromise'"
        " WHERE enrolment_id = 'enrolment-1'",
        "UPDATE enrolments SET live = FALSE, ended_because = 'bounced' WHERE id = 'enrolment-2'",
    )

    assert (await a_revocation(store).revoke("issuing-1", REASON)).certificates == 1

    rows = await store.rows(
        "SELECT enrolment_id, revocation_reason, ended_because FROM certificates"
        " JOIN enrolments ON enrolments.id = enrolment_id ORDER BY 1"
    )
    assert rows == [
        ("enrolment-0", None, None),
        ("enrolment-1", "keyCompromise", None),
        ("enrolment-2", "superseded", "bounced"),
    ]


@pytest.mark.parametrize(("issuer_id", "error"), [("root-1", ConfigurationRefused), ("nobody", Unknown)])
async def test_only_issuing_cas_of_ours_are_revoked(
    store: Store, issuer_id: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await a_revocation(store).revoke(issuer_id, REASON)


async def test_verify_tells_what_was_left_behind(store: Store) -> None:
    await mint_several(store, 1)
    revocations = SqlIssuerRevocations(store.database, node="desk")
    inspector = SqlStoreInspector(store.database)
    assert await inspector.unended_issuers(NOW) == []

    await revocations.end(an_issuer(), REASON, NOW, an_event())

    assert await inspector.unended_issuers(NOW) == ["issuing-1"]
    await a_revocation(store).revoke("issuing-1", REASON)
    assert await inspector.unended_issuers(NOW) == []
