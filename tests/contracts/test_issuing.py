"""Issuing CAs are added, under our root or somebody else's, on both databases."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.carequests import read_ca_request
from ca.errors import IssuerRefused, KeyRefused, ProfileRefused
from ca.issuerimport import ImportFlaw, fingerprint
from ca.keys import KeyAlgorithm, generate, same_key
from ca.linting import Linter
from ca.profiles import Purpose
from directory.audit import AuditKind
from directory.errors import AlreadyExists, ConfigurationRefused, Unknown
from directory.hierarchy import IssuerState, StoredIssuer
from directory.issuing import IssuingDesk
from directory.issuing_ports import PendingIssuer, Wish
from directory.store.issuing import SqlIssuing
from tests.builders import Authority
from tests.ca.strangers import Stranger
from tests.contracts.world import NOW, Store, an_event
from tests.directory.builders import an_organization
from tests.directory.clocks import StoppedClock
from tests.directory.issuerkeys import SealedKeys
from tests.directory.minting import found_authority, violations

DAY = timedelta(days=1)
SMALL = Wish(key_algorithm=KeyAlgorithm.RSA_2048)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """An operator, and what he works on."""

    store: Store
    issuing: SqlIssuing
    desk: IssuingDesk
    keys: SealedKeys
    authority: Authority

    async def issuers(self) -> dict[str, StoredIssuer]:
        return {one.issuer_id: one for one in (await self.issuing.hierarchy()).issuers}

    async def events(self) -> list[AuditKind]:
        rows = await self.store.rows("SELECT kind FROM audit_events WHERE node = 'desk' ORDER BY sequence")
        return [AuditKind(str(kind)) for (kind,) in rows]

    async def export_root(self) -> None:
        await self.store.sql(
            "UPDATE issuers SET key_master_key_id = NULL, key_wrapped_key = NULL, key_ciphertext = NULL"
            " WHERE purpose = 'root-ca'"
        )


@pytest.fixture
async def house(store: Store, authority: Authority, linter: Linter) -> House:
    await found_authority(store, authority)
    issuing, keys = SqlIssuing(store.database, node="desk"), SealedKeys(linter)
    return House(
        store=store,
        issuing=issuing,
        desk=IssuingDesk(store=issuing, keys=keys, clock=StoppedClock(NOW), actor="operator:olga"),
        keys=keys,
        authority=authority,
    )


def signed_by(stranger: Stranger, pending: PendingIssuer) -> bytes:
    request = x509.load_der_x509_csr(pending.request)
    key = read_ca_request(pending.request).public_key
    return stranger.certify(request.subject, key).public_bytes(Encoding.PEM)


async def test_an_issuing_ca_is_made_under_the_root_that_is_here(house: House, linter: Linter) -> None:
    made = await house.desk.create(SMALL)

    stored = (await house.issuers())[made.issuer_id]
    assert stored == made
    certificate = x509.load_der_x509_certificate(stored.certificate)
    certificate.verify_directly_issued_by(house.authority.root.certificate)
    assert linter.findings(stored.certificate, Purpose.ISSUING_CA) == ()
    assert stored.parent_id == house.authority.root.key_id
    assert house.keys.open(stored).key_id == made.issuer_id
    assert (await house.issuing.hierarchy()).state(stored, NOW) is IssuerState.PENDING
    assert await house.events() == [AuditKind.ISSUER_KEY_MADE, AuditKind.ISSUER_CREATED]
    assert await violations(house.store.database) == []


async def test_no_two_have_one_name(house: House) -> None:
    first, second = await house.desk.create(SMALL), await house.desk.create(SMALL)
    third = await house.desk.request(SMALL)

    assert len({first.subject, second.subject, third.subject}) == 3
    named = Wish(common_name="Mail CA", key_algorithm=KeyAlgorithm.RSA_2048)
    assert (await house.desk.create(named)).subject.startswith("CN=Mail CA,")
    with pytest.raises(AlreadyExists):
        await house.desk.request(named)


async def test_one_of_an_organization_bears_its_name_and_serves_it_alone(house: House) -> None:
    organization = an_organization()
    wish = Wish(organization=organization, key_algorithm=KeyAlgorithm.RSA_2048)

    made = await house.desk.create(wish)

    assert made.organization_id == organization.organization_id
    assert organization.name in made.subject


async def test_one_that_is_constrained_says_so(house: House) -> None:
    wish = Wish(key_algorithm=KeyAlgorithm.P_256, permitted_domains=frozenset({"example.org"}))

    made = await house.desk.create(wish)

    constraints = x509.load_der_x509_certificate(made.certificate).extensions.get_extension_for_class(
        x509.NameConstraints
    )
    assert constraints.value.permitted_subtrees == [x509.RFC822Name("example.org")]


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        (Wish(common_name=" ", key_algorithm=KeyAlgorithm.P_256), ProfileRefused),
        (Wish(permitted_domains=frozenset({"no domain"}), key_algorithm=KeyAlgorithm.P_256), ProfileRefused),
        (Wish(root_id="0" * 40), Unknown),
    ],
)
async def test_what_cannot_be_leaves_nothing(house: House, wish: Wish, error: type[Exception]) -> None:
    with pytest.raises(error):
        await house.desk.create(wish)

    assert len(await house.issuers()) == 2
    assert await house.events() == []


async def test_without_a_roots_key_a_request_is_the_way(house: House) -> None:
    await house.export_root()

    with pytest.raises(ConfigurationRefused, match="ca issuing csr") as refused:
        await house.desk.create(SMALL)

    assert refused.value.key == "--root"


async def test_a_request_waits_with_its_key(house: House) -> None:
    pending = await house.desk.request(SMALL)

    assert await house.issuing.pending() == [pending]
    assert pending.sealed_key is not None
    key = house.keys.unseal(pending.sealed_key, pending.issuer_id)
    assert same_key(key.public_key(), read_ca_request(pending.request).public_key)
    assert await house.events() == [AuditKind.ISSUER_KEY_MADE, AuditKind.ISSUER_REQUESTED]
    assert await violations(house.store.database) == []


async def test_a_stranger_certifies_what_waits_and_comes_in_without_a_key(house: House) -> None:
    root = Stranger("Stranger Root")
    policy = Stranger("Stranger Policy CA", root)
    pending = await house.desk.request(
        Wish(organization=an_organization(), key_algorithm=KeyAlgorithm.RSA_2048)
    )
    chain = b"".join(one.certificate.public_bytes(Encoding.PEM) for one in (policy, root))

    issuer = await house.desk.complete(signed_by(policy, pending), [chain], {fingerprint(root.certificate)})

    hierarchy = await house.issuing.hierarchy()
    above = hierarchy.chain(issuer.issuer_id)[1:]
    assert above == tuple(one.certificate.public_bytes(Encoding.DER) for one in (policy, root))
    strangers = [one for one in hierarchy.issuers if one.is_foreign]
    assert {one.purpose for one in strangers} == {Purpose.ROOT_CA, Purpose.ISSUING_CA}
    assert not any(one.key_is_here for one in strangers)
    assert {hierarchy.state(one, NOW) for one in strangers} == {IssuerState.ACTIVE}
    assert issuer.organization_id == an_organization().organization_id
    assert house.keys.open(issuer).key_id == issuer.issuer_id
    assert await house.issuing.pending() == []
    assert (await house.events())[2:] == [
        AuditKind.ISSUER_IMPORTED,
        AuditKind.ISSUER_IMPORTED,
        AuditKind.ISSUER_CREATED,
    ]
    assert await violations(house.store.database) == []


async def test_a_stranger_who_is_here_is_trusted_the_next_time(house: House) -> None:
    root = Stranger("Stranger Root")
    first, second = await house.desk.request(SMALL), await house.desk.request(SMALL)
    await house.desk.complete(
        signed_by(root, first), [root.certificate.public_bytes(Encoding.PEM)], {fingerprint(root.certificate)}
    )

    issuer = await house.desk.complete(signed_by(root, second), [], ())

    assert issuer.parent_id is not None
    assert len([one for one in (await house.issuers()).values() if one.is_foreign]) == 1


async def test_a_stranger_nobody_trusts_certifies_nothing(house: House) -> None:
    root = Stranger("Stranger Root")
    pending = await house.desk.request(SMALL)

    with pytest.raises(IssuerRefused) as refused:
        await house.desk.complete(signed_by(root, pending), [root.certificate.public_bytes(Encoding.PEM)], ())

    assert refused.value.code == ImportFlaw.UNTRUSTED
    assert len(await house.issuers()) == 2
    assert await house.issuing.pending() == [pending]


async def test_a_certificate_for_a_key_that_does_not_wait_is_refused(house: House) -> None:
    stranger = Stranger("Stranger Root")
    other = stranger.certify(stranger.name, generate(KeyAlgorithm.RSA_2048).public_key())

    with pytest.raises(IssuerRefused) as refused:
        await house.desk.complete(other.public_bytes(Encoding.PEM), [], ())

    assert refused.value.code == ImportFlaw.KEY_MISMATCH


async def test_a_certificate_is_imported_once(house: House) -> None:
    root = Stranger("Stranger Root")
    pending = await house.desk.request(SMALL)
    signed, above = signed_by(root, pending), root.certificate.public_bytes(Encoding.PEM)
    await house.desk.complete(signed, [above], {fingerprint(root.certificate)})

    with pytest.raises(AlreadyExists):
        await house.desk.complete(signed, [above], ())


async def test_a_name_that_another_issuer_has_is_refused(house: House) -> None:
    root = Stranger("Stranger Root")
    pending = await house.desk.request(SMALL)
    key = read_ca_request(pending.request).public_key
    same_name = root.certify(house.authority.issuer.name, key).public_bytes(Encoding.PEM)

    with pytest.raises(IssuerRefused) as refused:
        await house.desk.complete(
            same_name, [root.certificate.public_bytes(Encoding.PEM)], {fingerprint(root.certificate)}
        )

    assert refused.value.code == ImportFlaw.NAME_TAKEN


async def test_a_successor_is_of_the_same_kind_and_there_is_one(house: House) -> None:
    organization = an_organization()
    former = await house.desk.create(
        Wish(
            organization=organization,
            key_algorithm=KeyAlgorithm.P_256,
            permitted_domains=frozenset({"example.org", ".example.org"}),
        )
    )
    await house.issuing.activate(former.issuer_id, NOW, an_event())
    former = (await house.issuers())[former.issuer_id]

    made = await house.desk.succeed(former, NOW + DAY)

    assert made is not None
    assert (made.organization_id, made.active_from) == (organization.organization_id, NOW + DAY)
    assert made.subject != former.subject
    before, after = (x509.load_der_x509_certificate(one.certificate) for one in (former, made))
    assert after.extensions.get_extension_for_class(x509.NameConstraints) == (
        before.extensions.get_extension_for_class(x509.NameConstraints)
    )
    assert isinstance(after.public_key(), type(before.public_key()))
    assert await house.desk.succeed(former, NOW + 2 * DAY) is None
    assert len(await house.issuers()) == 4


async def test_a_damaged_record_keeps_no_other_request_from_its_certificate(house: House) -> None:
    root = Stranger("Stranger Root")
    damaged, keyless, sound = [await house.desk.request(SMALL) for _ in range(3)]
    await house.store.sql(
        f"UPDATE pending_issuers SET request = '' WHERE id = '{damaged.issuer_id}'",  # noqa: S608
        "UPDATE pending_issuers SET key_master_key_id = NULL, key_wrapped_key = NULL, key_ciphertext = NULL"  # noqa: S608
        f" WHERE id = '{keyless.issuer_id}'",
    )
    above, trusted = [root.certificate.public_bytes(Encoding.PEM)], {fingerprint(root.certificate)}

    with pytest.raises(KeyRefused, match="is lost"):
        await house.desk.complete(signed_by(root, keyless), above, trusted)
    issuer = await house.desk.complete(signed_by(root, sound), above, trusted)

    assert issuer.issuer_id == sound.issuer_id
    assert {one.issuer_id for one in await house.issuing.pending()} == {damaged.issuer_id, keyless.issuer_id}
