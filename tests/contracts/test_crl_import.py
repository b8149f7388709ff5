"""A CRL that is brought from where the key is takes the place of the one before, or is refused."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ca.crlrequests import CrlRequest
from ca.keys import PrivateKey
from ca.offline import OfflineCa
from ca.revocation import RevocationReason
from directory.crl_import import CrlDesk
from directory.errors import ConfigurationRefused, Unknown
from directory.store.crls import SqlCrlStore
from tests.builders import Authority
from tests.contracts.world import NOW, Store
from tests.directory.clocks import StoppedClock
from tests.directory.minting import found_authority, violations

DAY = timedelta(days=1)
YEAR = timedelta(days=365)
NOBODY = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Nobody")])


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """An operator who carries CRLs of a root that is off line."""

    store: Store
    desk: CrlDesk
    clock: StoppedClock
    root: OfflineCa
    root_id: str
    authority: Authority

    async def signed(self, validity: timedelta = 90 * DAY) -> bytes:
        return self.root.sign_crl(await self.desk.request(self.root_id), self.clock.now(), validity)


@pytest.fixture
async def house(store: Store, authority: Authority) -> House:
    await found_authority(store, authority)
    await store.sql(
        "UPDATE issuers SET key_master_key_id = NULL, key_wrapped_key = NULL, key_ciphertext = NULL"
        " WHERE purpose = 'root-ca'"
    )
    clock = StoppedClock(NOW)
    crls = SqlCrlStore(store.database, node="desk")
    return House(
        store=store,
        desk=CrlDesk(store=crls, clock=clock, actor="operator:olga"),
        clock=clock,
        root=OfflineCa(certificate=authority.root.certificate, key=authority.root_key),
        root_id=authority.root.key_id,
        authority=authority,
    )


async def test_what_was_asked_for_and_signed_is_published(house: House) -> None:
    first = await house.desk.take_in(await house.signed())
    house.clock.advance(DAY)
    second = await house.desk.take_in(await house.signed())

    assert second.record.number > first.record.number
    assert second.record.next_update == (NOW + 91 * DAY).replace(microsecond=0)
    assert await house.store.rows("SELECT kind FROM audit_events WHERE node = 'desk'") == [
        ("crl.imported",),
        ("crl.imported",),
    ]
    assert await violations(house.store.database, clock=house.clock) == []


async def test_verify_warns_before_it_ends(house: House) -> None:
    await house.desk.take_in(await house.signed(40 * DAY))

    for days, expected in ((29, []), (31, ["crl.ends_soon"]), (41, ["crl.current"])):
        found = await violations(house.store.database, clock=StoppedClock(NOW + days * DAY))
        assert [one.invariant for one in found] == expected
        assert all(one.is_warning is (days == 31) for one in found)


async def test_nothing_is_asked_for_of_an_unknown_issuer(house: House) -> None:
    with pytest.raises(Unknown):
        await house.desk.request("0" * 40)


def a_crl(
    root: OfflineCa,
    *,
    key: PrivateKey | None = None,
    number: int | None = int(NOW.timestamp()) + 1,
    begin: datetime = NOW,
    end: datetime = NOW + DAY,
    digest: hashes.HashAlgorithm | None = None,
    more: x509.ExtensionType | None = None,
    name: x509.Name | None = None,
) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name or root.certificate.subject)
        .last_update(begin)
        .next_update(end)
    )
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    if more is not None:
        builder = builder.add_extension(more, critical=True)
    return builder.sign(key or root.key, digest or hashes.SHA256()).public_bytes(Encoding.DER)  # type: ignore[arg-type]


async def refusal(house: House, crl: bytes) -> str:
    with pytest.raises(ConfigurationRefused) as refused:
        await house.desk.take_in(crl)
    assert refused.value.key == "FILE"
    return refused.value.reason


async def test_what_cannot_take_its_place_is_refused_for_its_reason(house: House) -> None:
    root, authority = house.root, house.authority
    await house.desk.take_in(await house.signed())
    of_issuing = OfflineCa(certificate=authority.issuer.certificate, key=authority.issuing_key)
    reasons = {
        "is no CRL": b"nonsense",
        "not here": a_crl(root, name=NOBODY),
        "not signed by": a_crl(root, key=authority.issuing_key),
        "key is here": a_crl(of_issuing),
        "not greater": a_crl(root, number=5),
        "has no number": a_crl(root, number=None),
        "has expired": a_crl(root, begin=NOW - 2 * DAY, end=NOW - DAY),
        "in the future": a_crl(root, begin=NOW + YEAR, end=NOW + 2 * YEAR),
        "not SHA-2": a_crl(root, digest=hashes.SHA224()),
        "not complete": a_crl(root, more=x509.DeltaCRLIndicator(1)),
    }

    for reason, crl in reasons.items():
        assert reason in await refusal(house, crl)


async def test_a_crl_that_forgets_somebody_is_refused(house: House) -> None:
    await house.store.sql(
        "INSERT INTO certificates (id, issuer_id, serial, scope, address, address_key, origin, der,"
        " key_sha256, not_before, not_after, published_at, revoked_at, revocation_reason)"
        " SELECT 'c', id, 'abc', 'shared', '', '', 'authority', der, der, not_before, not_after, created_at,"
        " created_at, 'cACompromise' FROM issuers WHERE purpose = 'root-ca'"
    )
    empty = CrlRequest(certificate=house.root.certificate, number=1, revoked=())

    assert "does not list 1" in await refusal(house, house.root.sign_crl(empty, NOW, DAY))
    request = await house.desk.request(house.root_id)
    assert [(one.serial_number, one.reason) for one in request.revoked] == [
        (0xABC, RevocationReason.CA_COMPROMISE)
    ]
    await house.desk.take_in(house.root.sign_crl(request, NOW, DAY))
