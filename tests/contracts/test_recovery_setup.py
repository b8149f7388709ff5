"""The contract of `RecoveryRegister`: certificates and agents come and go; what is escrowed stays."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from ca.address import Mailbox
from ca.escrow import open_escrow
from ca.keys import PrivateKey, key_hash
from directory.errors import AlreadyExists, ConfigurationRefused, Unknown
from directory.organization import EndOfHold, HoldPolicy
from directory.recovery_setup import RecoverySetup
from directory.store.callers import SqlCallerStore
from directory.store.recovery_setup import SqlRecoverySetup
from directory.store.tables import audit_events, certificates, escrowed_keys
from tests.builders import NOW, Authority
from tests.contracts.escrowing import OVER, activate
from tests.contracts.test_escrows import end, mint_for
from tests.contracts.world import Store
from tests.directory.clocks import StoppedClock
from tests.directory.minting import violations
from tests.recoverykeys import a_recovery_certificate, a_recovery_key

ROSA = Mailbox.parse("Rosa@keepers.org")


def setup_of(store: Store, *, clock: StoppedClock | None = None) -> RecoverySetup:
    return RecoverySetup(
        register=SqlRecoverySetup(store.database, node="node-1"),
        clock=clock or StoppedClock(),
        actor="operator:olga",
    )


async def recorded(store: Store) -> list[tuple[str, str, str]]:
    query = select(audit_events.c.kind, audit_events.c.actor, audit_events.c.subject)
    query = query.where(audit_events.c.kind.like("recovery%")).order_by(audit_events.c.sequence)
    return [(kind, actor, subject) for kind, actor, subject in await store.select(query)]


async def test_certificates_are_added_activated_and_followed_by_others_on_record(store: Store) -> None:
    setup = setup_of(store)
    first, second = a_recovery_certificate(), a_recovery_certificate(2)
    for certificate in (first, second):
        await setup.add_certificate(certificate)
        await setup.activate_certificate(certificate.fingerprint[:8].upper())

    assert {one.certificate.fingerprint: one.active for one in await setup.certificates()} == {
        first.fingerprint: False,
        second.fingerprint: True,
    }
    assert await recorded(store) == [
        ("recovery_certificate.added", "operator:olga", first.fingerprint),
        ("recovery_certificate.activated", "operator:olga", first.fingerprint),
        ("recovery_certificate.added", "operator:olga", second.fingerprint),
        ("recovery_certificate.activated", "operator:olga", second.fingerprint),
    ]


async def test_a_certificate_is_added_once(store: Store) -> None:
    await setup_of(store).add_certificate(a_recovery_certificate())
    with pytest.raises(AlreadyExists):
        await setup_of(store).add_certificate(a_recovery_certificate())


async def test_a_recipients_own_key_is_nothing_to_escrow_to(
    store: Store, authority: Authority, recipient_key: PrivateKey
) -> None:
    await mint_for(store, authority, recipient_key, HoldPolicy())
    same_key = key_hash(a_recovery_certificate().certificate.public_key())
    await store.database.write(
        lambda connection: connection.execute(certificates.update().values(key_sha256=same_key)).close()
    )

    with pytest.raises(AlreadyExists, match="recipient"):
        await setup_of(store).add_certificate(a_recovery_certificate())


@pytest.mark.parametrize("off", [timedelta(days=-1), timedelta(days=6 * 365)])
async def test_a_certificate_that_is_not_valid_now_is_neither_added_nor_activated(
    store: Store, off: timedelta
) -> None:
    with pytest.raises(ConfigurationRefused, match="not valid now"):
        await setup_of(store, clock=StoppedClock(NOW + off)).add_certificate(a_recovery_certificate())
    await setup_of(store).add_certificate(a_recovery_certificate())
    with pytest.raises(ConfigurationRefused, match="not valid now"):
        await setup_of(store, clock=StoppedClock(NOW + off)).activate_certificate(
            a_recovery_certificate().fingerprint
        )


@pytest.mark.parametrize("digits", [0, 7])
async def test_a_beginning_that_could_be_anybodys_is_refused(store: Store, digits: int) -> None:
    await setup_of(store).add_certificate(a_recovery_certificate())
    with pytest.raises(Unknown):
        await setup_of(store).activate_certificate(a_recovery_certificate().fingerprint[:digits])


async def test_agents_come_and_go_on_record_and_their_tokens_with_them(store: Store) -> None:
    setup, callers = setup_of(store), SqlCallerStore(store.database, node="node-1")
    token = await setup.add_agent("rosa", ROSA, certificate_sha256=b"c" * 32)

    found = await callers.recovery_agent_by_token(token.token_id)
    assert found is not None
    assert found.token_digest == token.digest
    assert (found.agent.name, found.agent.person, found.agent.certificate_sha256) == (
        "rosa",
        ROSA.base_key,
        b"c" * 32,
    )
    with pytest.raises(AlreadyExists):
        await setup.add_agent("rosa", Mailbox.parse("another@keepers.org"))
    await setup.remove_agent("rosa")

    assert await callers.recovery_agent_by_token(token.token_id) is None
    with pytest.raises(Unknown):
        await setup.remove_agent("rosa")
    again = await setup.add_agent("rosa", ROSA)
    assert [one.removed_at is None for one in await setup.agents()] in ([False, True], [True, False])
    assert await callers.recovery_agent_by_token(again.token_id) is not None
    assert await recorded(store) == [
        ("recovery_agent.added", "operator:olga", "rosa"),
        ("recovery_agent.removed", "operator:olga", "rosa"),
        ("recovery_agent.added", "operator:olga", "rosa"),
    ]


@pytest.mark.parametrize("name", ["", "Rosa", "a b", "x" * 65])
async def test_an_agent_has_a_name_that_can_be_written_down(store: Store, name: str) -> None:
    with pytest.raises(ConfigurationRefused):
        await setup_of(store).add_agent(name, ROSA)


async def test_what_is_escrowed_to_a_certificate_opens_with_its_key_after_it_was_followed_by_another(
    store: Store, authority: Authority, recipient_key: PrivateKey
) -> None:
    """Rotation changes nothing that is escrowed, so nothing of it can be lost half-way."""
    await activate(store.database)
    await mint_for(store, authority, recipient_key, HoldPolicy(end=EndOfHold.ESCROW))
    await end(store)
    before = await store.select(select(escrowed_keys))

    await activate(store.database, a_recovery_certificate(2))

    assert await store.select(select(escrowed_keys)) == before
    certificate, key = a_recovery_key()
    ((_, certificate_id, envelope, _),) = before
    assert certificate_id == a_recovery_certificate().fingerprint
    open_escrow(envelope, key, certificate)
    assert await violations(store.database, clock=StoppedClock(OVER)) == []
