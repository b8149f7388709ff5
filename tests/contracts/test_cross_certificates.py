"""Other CAs vouch for ours, and ours for others, on both databases."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import update

from ca.errors import IssuerRefused
from ca.hierarchy import AuthorityName
from ca.issuerimport import ImportFlaw, fingerprint
from ca.keys import KeyAlgorithm, generate
from ca.linting import Linter
from ca.revocation import RevocationReason
from directory.audit import AuditEvent, AuditKind, ChainedEvent
from directory.crosscertificates import CrossCertificate, CrossDesk
from directory.errors import AlreadyExists, ConfigurationRefused, IssuerEnded, Unknown
from directory.issuer_revocation import IssuerRevocation
from directory.issuing import IssuingDesk
from directory.issuing_ports import Wish
from directory.reconciling import Reconciliation
from directory.revocation import Revocation
from directory.store.crls import SqlCrlStore
from directory.store.cross_certificates import SqlCrossCertificates
from directory.store.evidence import SqlEvidence
from directory.store.issuer_revocations import SqlIssuerRevocations
from directory.store.issuing import SqlIssuing
from directory.store.reconciling import SqlReconciling
from directory.store.revocations import SqlRevocationStore
from directory.store.tables import issuers
from tests.builders import PUBLICATION, Authority
from tests.ca.strangers import YEAR, Stranger
from tests.contracts.world import NOW, Store
from tests.directory.clocks import StoppedClock
from tests.directory.crlnodes import Node
from tests.directory.issuerkeys import SealedKeys
from tests.directory.minting import found_authority, violations

OTHER = AuthorityName(organization="Other", common_name="Other Issuing CA").distinguished_name
DOMAINS = frozenset({"other.example"})


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """An operator, and what he works on."""

    store: Store
    crossing: SqlCrossCertificates
    desk: CrossDesk
    authority: Authority
    clock: StoppedClock
    revocation: Revocation

    async def events(self) -> list[AuditKind]:
        rows = await self.store.rows("SELECT kind FROM audit_events WHERE node = 'desk' ORDER BY sequence")
        return [AuditKind(str(kind)) for (kind,) in rows]

    async def told(self) -> list[AuditEvent]:
        chain = SqlEvidence(self.store.database).chain("desk", after=0, last=9)
        return [one.event async for one in chain if isinstance(one, ChainedEvent)]

    def reconciliation(self) -> Reconciliation:
        database = self.store.database
        return Reconciliation(
            store=SqlReconciling(database, node="desk", publication=PUBLICATION),
            revoker=self.revocation,
            issuer_revoker=IssuerRevocation(
                store=SqlIssuerRevocations(database, node="desk"), clock=self.clock, actor="operator:olga"
            ),
            clock=self.clock,
            actor="operator:olga",
        )

    async def take_in(self, certificate: x509.Certificate, root: Stranger) -> CrossCertificate:
        above, trusted = pem(root.certificate), {fingerprint(root.certificate)}
        return await self.desk.take_in(pem(certificate), [above], trusted)


@pytest.fixture
async def house(store: Store, authority: Authority, linter: Linter) -> House:
    await found_authority(store, authority)
    crossing, clock = SqlCrossCertificates(store.database, node="desk"), StoppedClock(NOW)
    keys = SealedKeys(linter)
    desk = CrossDesk(store=crossing, keys=keys, clock=clock, actor="operator:olga")
    revocation = Revocation(store=SqlRevocationStore(store.database, node="desk"), clock=clock)
    return House(
        store=store, crossing=crossing, desk=desk, authority=authority, clock=clock, revocation=revocation
    )


@pytest.fixture(scope="module")
def friend() -> Stranger:
    """Somebody else's root."""
    return Stranger("Friendly Root")


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def crossed(friend: Stranger, own: x509.Certificate, **deviations: object) -> x509.Certificate:
    return friend.certify(own.subject, own.public_key(), **deviations)  # type: ignore[arg-type]


def other_ca(friend: Stranger) -> x509.Certificate:
    return friend.certify(OTHER, generate(KeyAlgorithm.RSA_2048).public_key())


@pytest.mark.parametrize("which", ["root", "issuing"])
async def test_a_certificate_by_another_ca_is_published_beside_our_own(
    house: House, friend: Stranger, which: str
) -> None:
    ours = house.authority.root if which == "root" else house.authority.issuer
    node = Node(house.store.database, house.clock)
    await node.production.start()
    before = node.board.current()
    certificate = crossed(friend, ours.certificate)

    taken = await house.take_in(certificate, friend)

    assert taken.issuer_id == ours.key_id
    assert await house.crossing.cross_certificates() == [taken]
    assert taken.cross_id == fingerprint(certificate).hex()
    await node.production.refresh()
    assert node.board.current() is not before
    shown = await node.board.cross_certificates()
    assert shown[ours.key_id] == (taken.certificate,)
    own = ours.certificate.public_bytes(Encoding.DER)
    assert (await node.board.issuer_certificates())[ours.key_id] == own
    assert await house.events() == [AuditKind.CROSS_CERTIFICATE_ADDED]
    assert await violations(house.store.database) == []
    assert len((await house.crossing.hierarchy()).issuers) == 2


async def test_one_that_is_removed_is_published_no_longer(house: House, friend: Stranger) -> None:
    node = Node(house.store.database, house.clock)
    taken = await house.take_in(crossed(friend, house.authority.root.certificate), friend)
    await node.production.start()

    assert await house.desk.remove(taken.cross_id[:8]) == taken

    await node.production.refresh()
    assert (await node.board.cross_certificates())[taken.issuer_id] == ()
    assert await house.desk.every() == ([], [])
    assert await house.events() == [
        AuditKind.CROSS_CERTIFICATE_ADDED,
        AuditKind.CROSS_CERTIFICATE_REMOVED,
    ]
    with pytest.raises(Unknown):
        await house.desk.remove(taken.cross_id)


async def test_one_that_has_expired_is_published_no_longer(house: House, friend: Stranger) -> None:
    certificate = crossed(friend, house.authority.root.certificate, not_after=NOW + timedelta(days=1))
    taken = await house.take_in(certificate, friend)
    house.clock.advance(timedelta(days=1))
    node = Node(house.store.database, house.clock)

    await node.production.start()

    assert (await node.board.cross_certificates())[taken.issuer_id] == ()


async def test_a_cross_certificate_is_taken_in_once(house: House, friend: Stranger) -> None:
    certificate = crossed(friend, house.authority.issuer.certificate)
    taken = await house.take_in(certificate, friend)

    with pytest.raises(AlreadyExists):
        await house.take_in(certificate, friend)

    assert await house.crossing.cross_certificates() == [taken]
    assert await house.events() == [AuditKind.CROSS_CERTIFICATE_ADDED]


async def test_our_own_certificate_is_no_cross_certificate(house: House) -> None:
    with pytest.raises(AlreadyExists):
        await house.desk.take_in(pem(house.authority.issuer.certificate), [], ())


async def test_what_cannot_be_used_leaves_nothing(house: House, friend: Stranger) -> None:
    root = house.authority.root.certificate
    no_room = x509.BasicConstraints(ca=True, path_length=0)
    trusted_friend = {fingerprint(friend.certificate)}
    for certificate, trusted, flaw in (
        (crossed(friend, root), set(), ImportFlaw.UNTRUSTED),
        (crossed(friend, root, constraints=no_room), trusted_friend, ImportFlaw.PATH_LENGTH),
        (friend.certify(OTHER, root.public_key()), trusted_friend, ImportFlaw.OTHER_NAME),
        (other_ca(friend), trusted_friend, ImportFlaw.KEY_MISMATCH),
    ):
        with pytest.raises(IssuerRefused) as refused:
            await house.desk.take_in(pem(certificate), [pem(friend.certificate)], trusted)
        assert refused.value.code == flaw

    with pytest.raises(IssuerRefused) as refused:
        await house.desk.take_in(pem(crossed(friend, root)), [], {fingerprint(friend.certificate)})
    assert refused.value.code == ImportFlaw.INCOMPLETE
    assert await house.crossing.cross_certificates() == []
    assert await house.events() == []


async def test_an_issuer_that_was_revoked_gets_none(house: House, friend: Stranger) -> None:
    issuing = house.authority.issuer
    await house.store.database.write(
        lambda connection: connection.execute(
            update(issuers).where(issuers.c.id == issuing.key_id).values(revoked_at=NOW)
        )
    )

    with pytest.raises(IssuerEnded):
        await house.take_in(crossed(friend, issuing.certificate), friend)


async def test_our_root_vouches_for_another_ca_and_can_revoke_that(house: House, friend: Stranger) -> None:
    root = house.authority.root
    signed = await house.desk.sign(pem(other_ca(friend)), DOMAINS, None)

    certificate = x509.load_der_x509_certificate(signed.certificate)
    certificate.verify_directly_issued_by(root.certificate)
    assert certificate.subject == OTHER
    assert await house.desk.every() == ([], [signed])
    assert await violations(house.store.database) == []
    node = Node(house.store.database, house.clock)
    await node.production.start()

    (revoked,) = await house.revocation.revoke_serial(
        signed.serial, RevocationReason.CESSATION_OF_OPERATION, "operator:olga"
    )

    await node.production.refresh()
    shown = node.board.crl(root.key_id)
    assert shown is not None
    crl = x509.load_der_x509_crl(shown.der)
    assert crl.get_revoked_certificate_by_serial_number(signed.serial) is not None
    assert await house.events() == [AuditKind.CROSS_CERTIFICATE_SIGNED, AuditKind.CERTIFICATE_REVOKED]
    assert await violations(house.store.database) == []
    assert revoked.mailbox is None
    assert [one.revoked_at for one in await house.crossing.signed_for_others()] == [NOW]


async def test_what_a_restore_has_lost_is_revoked(house: House, friend: Stranger) -> None:
    signed = await house.desk.sign(pem(other_ca(friend)), DOMAINS, None)
    told = await house.told()
    await house.store.sql("DELETE FROM certificates")
    reconciliation = house.reconciliation()

    losses = await reconciliation.losses(told)
    await reconciliation.make_good(losses)

    assert [(one.serial, one.issuer_id) for one in losses.certificates] == [
        (f"{signed.serial:x}", signed.issuer_id)
    ]
    assert await house.store.rows("SELECT serial FROM certificates WHERE revoked_at IS NOT NULL") == [
        (f"{signed.serial:x}",)
    ]


async def test_a_revocation_that_a_restore_has_lost_is_made_again(house: House, friend: Stranger) -> None:
    signed = await house.desk.sign(pem(other_ca(friend)), DOMAINS, None)
    await house.revocation.revoke_serial(signed.serial, RevocationReason.SUPERSEDED, "operator:olga")
    told = await house.told()
    await house.store.sql("UPDATE certificates SET revoked_at = NULL, revocation_reason = NULL")
    reconciliation = house.reconciliation()

    await reconciliation.make_good(await reconciliation.losses(told))

    assert [one.revoked_at for one in await house.crossing.signed_for_others()] == [NOW]


async def test_what_our_root_signed_elsewhere_is_put_on_record_once(house: House, friend: Stranger) -> None:
    signed = await house.desk.sign(pem(other_ca(friend)), DOMAINS, None)
    file = x509.load_der_x509_certificate(signed.certificate).public_bytes(Encoding.PEM)
    with pytest.raises(AlreadyExists):
        await house.desk.record(file)
    await house.store.sql("DELETE FROM certificates")

    assert await house.desk.record(file) == signed

    assert await house.desk.every() == ([], [signed])


async def test_what_no_root_of_ours_signed_or_is_ours_is_not_put_on_record(
    house: House, friend: Stranger
) -> None:
    with pytest.raises(ConfigurationRefused, match="no root of ours"):
        await house.desk.record(pem(other_ca(friend)))
    with pytest.raises(AlreadyExists):
        await house.desk.record(pem(house.authority.issuer.certificate))

    assert await house.events() == []


async def test_our_own_cas_are_not_vouched_for_again(house: House) -> None:
    with pytest.raises(AlreadyExists):
        await house.desk.sign(pem(house.authority.issuer.certificate), DOMAINS, None)


async def test_what_is_to_become_an_issuing_ca_of_ours_is_not_somebody_elses(
    house: House, linter: Linter
) -> None:
    issuing = IssuingDesk(
        store=SqlIssuing(house.store.database, node="desk"),
        keys=SealedKeys(linter),
        clock=house.clock,
        actor="operator:olga",
    )
    pending = await issuing.request(Wish(key_algorithm=KeyAlgorithm.P_256))

    with pytest.raises(AlreadyExists):
        await house.desk.sign(pending.request, DOMAINS, None)

    assert await house.desk.every() == ([], [])


async def test_without_a_roots_key_the_key_file_is_the_way(house: House, friend: Stranger) -> None:
    await house.store.sql(
        "UPDATE issuers SET key_master_key_id = NULL, key_wrapped_key = NULL, key_ciphertext = NULL"
    )

    with pytest.raises(ConfigurationRefused, match="--key"):
        await house.desk.sign(pem(other_ca(friend)), DOMAINS, None)


async def test_a_process_learns_of_them_with_where_crls_stand(house: House, friend: Stranger) -> None:
    long = crossed(friend, house.authority.root.certificate, not_after=NOW + 5 * YEAR)
    taken = await house.take_in(long, friend)

    standings = await SqlCrlStore(house.store.database, node="node-1").issuers()

    assert [list(one.cross_certificates) for one in standings] == [[taken.certificate], []]
