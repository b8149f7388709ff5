"""Requests for issuing CAs are given up, at any moment and in any order with others, on both databases."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.carequests import read_ca_request
from ca.errors import IssuerRefused, KeyRefused, SignerUnavailable, SigningRefused
from ca.issuerimport import ImportFlaw, fingerprint
from ca.keys import KeyAlgorithm, generate
from ca.linting import Linter
from ca.pkcs11 import TokenKey, TokenLimits, TokenThread
from directory.audit import AuditEvent, AuditKind
from directory.errors import ConfigurationRefused, Unknown
from directory.hierarchy import StoredIssuer
from directory.issuing import IssuingDesk
from directory.issuing_ports import PendingIssuer, Wish
from directory.sparekeys import SpareKeys
from directory.store.database import Database
from directory.store.issuing import SqlIssuing
from directory.store.spare_keys import SqlSpareKeys
from directory.wiring.signers import Signers
from directory.withdrawal import DestroyedKeys, WithdrawalDesk
from tests.builders import Authority
from tests.ca.strangers import Stranger
from tests.contracts.world import NOW, SEALER, Store
from tests.directory.clocks import StoppedClock
from tests.directory.issuerkeys import SealedKeys
from tests.directory.minting import found_authority, violations
from tests.faketoken import FakeToken

CLOCK = StoppedClock(NOW)
PATIENT = TokenLimits(sign=60, connect=60)
SEALED = Wish(key_algorithm=KeyAlgorithm.P_256)
IN_TOKEN = Wish(key_algorithm=KeyAlgorithm.P_256, in_token=True)
ONCE_MORE = 8


class PowerCut(Exception):
    """The process ends here: no error of ours, so nothing catches it."""


class Meanwhile(SqlIssuing):
    """A store before whose next change somebody else makes one."""

    def __init__(self, database: Database, others: Callable[[], Awaitable[object]]) -> None:
        super().__init__(database, node="slow")
        self._others = others

    async def complete(
        self, pending_id: str, issuers: Sequence[StoredIssuer], events: Sequence[AuditEvent]
    ) -> None:
        await self._others()
        await super().complete(pending_id, issuers, events)

    async def withdraw(
        self, pending: PendingIssuer, events: Sequence[AuditEvent], *, destroy_from: datetime
    ) -> None:
        await self._others()
        await super().withdraw(pending, events, destroy_from=destroy_from)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Keys of a process that ends when it has destroyed one, or just before."""

    token: FakeToken
    destroys: bool

    def destroy(self, place: TokenKey) -> bool:
        if self.destroys:
            del self.token.keys[bytes.fromhex(place.key_id)]
        raise PowerCut


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A token and a database, and the operators who use them."""

    store: Store
    token: FakeToken
    thread: TokenThread
    keys: SealedKeys
    root: Stranger

    @property
    def issuing(self) -> SqlIssuing:
        return SqlIssuing(self.store.database, node="desk")

    def requests(self, issuing: SqlIssuing | None = None) -> IssuingDesk:
        return IssuingDesk(store=issuing or self.issuing, keys=self.keys, clock=CLOCK, actor="operator:olga")

    def withdrawals(
        self, issuing: SqlIssuing | None = None, keys: DestroyedKeys | None = None
    ) -> WithdrawalDesk:
        return WithdrawalDesk(
            store=issuing or self.issuing,
            spare=SqlSpareKeys(self.store.database, node="desk"),
            keys=keys or Signers(SEALER, self.thread),
            clock=CLOCK,
            actor="operator:otto",
        )

    def service(self) -> SpareKeys:
        """Return what clears the token in a running service."""
        return SpareKeys(
            store=SqlSpareKeys(self.store.database, node="service"),
            token=TokenThread(self.token, PATIENT),
            clock=CLOCK,
            uniform=lambda _shortest, longest: longest,
        )

    async def complete(self, pending: PendingIssuer, issuing: SqlIssuing | None = None) -> StoredIssuer:
        certificate = self.root.certify(
            x509.load_der_x509_csr(pending.request).subject, read_ca_request(pending.request).public_key
        )
        above = self.root.certificate
        return await self.requests(issuing).complete(
            certificate.public_bytes(Encoding.PEM), [above.public_bytes(Encoding.PEM)], {fingerprint(above)}
        )

    async def issuers(self) -> set[str]:
        return {one.issuer_id for one in (await self.issuing.hierarchy()).issuers}

    async def spare(self) -> list[tuple[object, ...]]:
        return await self.store.rows("SELECT token_key, issuer_id FROM spare_token_keys")

    async def told(self, issuer_id: str) -> list[AuditKind]:
        rows = await self.store.rows(
            f"SELECT kind FROM audit_events WHERE subject = '{issuer_id}' ORDER BY at, node, sequence"  # noqa: S608
        )
        return [AuditKind(str(kind)) for (kind,) in rows]

    async def destroyed(self) -> list[tuple[object, object, str]]:
        """Return of which request a key was destroyed, by whom, and whether it was found."""
        rows = await self.store.rows(
            "SELECT subject, actor, detail FROM audit_events WHERE kind = 'issuer.key_destroyed'"
        )
        found = []
        for subject, actor, text in rows:
            detail: dict[str, str] = json.loads(str(text))
            assert detail["reason"] == "withdrawn"
            found.append((subject, actor, detail.get("found", "")))
        return found


@pytest.fixture
async def house(store: Store, authority: Authority, linter: Linter) -> House:
    await found_authority(store, authority)
    token = FakeToken()
    thread = TokenThread(token, PATIENT)
    return House(
        store=store,
        token=token,
        thread=thread,
        keys=SealedKeys(linter, thread),
        root=Stranger("Stranger Root"),
    )


def key_of(pending: PendingIssuer) -> str:
    assert pending.token_key is not None
    return pending.token_key.key_id


async def test_a_sealed_key_goes_with_its_request(house: House) -> None:
    pending = await house.requests().request(SEALED)

    withdrawn = await house.withdrawals().withdraw(pending.issuer_id[:8])

    assert (withdrawn.request, withdrawn.put_off) == (pending, None)
    assert await house.issuing.pending() == []
    assert await house.told(pending.issuer_id) == [
        AuditKind.ISSUER_KEY_MADE,
        AuditKind.ISSUER_REQUESTED,
        AuditKind.ISSUER_REQUEST_WITHDRAWN,
        AuditKind.ISSUER_KEY_DESTROYED,
    ]
    assert await house.destroyed() == [(pending.issuer_id, "operator:otto", "")]
    assert await house.spare() == []
    assert await violations(house.store.database) == []


async def test_a_key_in_the_token_is_destroyed_at_once_if_the_token_is_there(house: House) -> None:
    pending, other = [await house.requests().request(IN_TOKEN) for _ in range(2)]

    withdrawn = await house.withdrawals().withdraw(pending.issuer_id)

    assert withdrawn.put_off is None
    assert [key.hex() for key in house.token.keys] == [key_of(other)]
    assert await house.issuing.pending() == [other]
    assert await house.spare() == []
    assert await house.destroyed() == [(pending.issuer_id, "operator:otto", "yes")]
    assert await violations(house.store.database) == []


async def test_what_does_not_wait_is_not_withdrawn(house: House) -> None:
    pending = await house.requests().request(IN_TOKEN)
    await house.withdrawals().withdraw(pending.issuer_id)

    with pytest.raises(Unknown) as refused:
        await house.withdrawals().withdraw(pending.issuer_id)

    assert refused.value.kind == "request"


async def test_while_the_token_is_away_a_request_is_withdrawn_and_its_key_destroyed_later(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    pending = await house.requests().request(IN_TOKEN)
    house.token.take_away()

    withdrawn = await house.withdrawals().withdraw(pending.issuer_id)

    assert isinstance(withdrawn.put_off, SignerUnavailable)
    assert await house.issuing.pending() == []
    assert await house.spare() == [(key_of(pending), pending.issuer_id)]
    assert await house.destroyed() == []
    with caplog.at_level(logging.WARNING):
        await house.service().clear()
    assert len(await house.spare()) == 1
    house.token.bring_back()
    await house.service().clear()
    assert house.token.keys == {}
    assert await house.spare() == []
    assert await house.destroyed() == [(pending.issuer_id, "service", "yes")]


async def test_a_request_whose_token_is_gone_for_good_can_be_withdrawn(house: House) -> None:
    pending = await house.requests().request(IN_TOKEN)

    withdrawn = await house.withdrawals(keys=Signers(SEALER)).withdraw(pending.issuer_id)

    assert isinstance(withdrawn.put_off, KeyRefused)
    assert await house.issuing.pending() == []
    assert await house.spare() == [(key_of(pending), pending.issuer_id)]


@pytest.mark.parametrize(("destroys", "found"), [(False, "yes"), (True, "no")])
async def test_what_a_process_that_ended_has_begun_a_service_brings_to_its_end(
    house: House, *, destroys: bool, found: str
) -> None:
    pending = await house.requests().request(IN_TOKEN)
    with pytest.raises(PowerCut):
        await house.withdrawals(keys=Ending(token=house.token, destroys=destroys)).withdraw(pending.issuer_id)

    with pytest.raises(IssuerRefused) as refused:
        await house.complete(pending)
    assert refused.value.code == ImportFlaw.KEY_MISMATCH
    for _ in range(2):
        await house.service().clear()

    assert house.token.keys == {}
    assert await house.spare() == []
    assert await house.destroyed() == [(pending.issuer_id, "service", found)]


@pytest.mark.parametrize("wish", [SEALED, IN_TOKEN])
async def test_whoever_withdraws_what_is_completed_meanwhile_destroys_nothing(
    house: House, wish: Wish
) -> None:
    pending = await house.requests().request(wish)
    slow = Meanwhile(house.store.database, lambda: house.complete(pending))

    with pytest.raises(ConfigurationRefused, match="does not wait any more"):
        await house.withdrawals(slow).withdraw(pending.issuer_id)

    assert await house.spare() == []
    assert await house.destroyed() == []
    await house.service().clear()
    issuers = (await house.issuing.hierarchy()).issuers
    house.keys.try_key(next(one for one in issuers if one.issuer_id == pending.issuer_id))
    assert await violations(house.store.database) == []


@pytest.mark.parametrize("wish", [SEALED, IN_TOKEN])
async def test_whoever_completes_what_is_withdrawn_meanwhile_takes_nothing_in(
    house: House, wish: Wish
) -> None:
    before = await house.issuers()
    pending = await house.requests().request(wish)
    slow = Meanwhile(house.store.database, lambda: house.withdrawals().withdraw(pending.issuer_id))

    with pytest.raises(ConfigurationRefused, match="does not wait any more"):
        await house.complete(pending, slow)

    assert await house.issuers() == before
    assert house.token.keys == {}
    assert len(await house.destroyed()) == 1
    assert await violations(house.store.database) == []


async def test_of_two_at_once_one_succeeds_and_no_issuing_ca_is_without_its_key(house: House) -> None:
    async with house.store.opened_again() as database:
        for _ in range(ONCE_MORE):
            pending = await house.requests().request(IN_TOKEN)
            completed, withdrawn = await asyncio.gather(
                house.complete(pending),
                house.withdrawals(SqlIssuing(database, node="other")).withdraw(pending.issuer_id),
                return_exceptions=True,
            )

            await house.service().clear()
            came_in = isinstance(completed, StoredIssuer)
            assert came_in == isinstance(withdrawn, Exception)
            assert came_in == (bytes.fromhex(key_of(pending)) in house.token.keys)
            assert came_in == (pending.issuer_id in await house.issuers())


async def test_a_certificate_whose_key_is_not_in_the_token_any_more_is_refused(house: House) -> None:
    before = await house.issuers()
    pending = await house.requests().request(IN_TOKEN)
    house.token.keys.clear()

    with pytest.raises(KeyRefused, match="is lost: token 'token-1' has no private key"):
        await house.complete(pending)

    assert await house.issuers() == before
    assert await house.issuing.pending() == [pending]
    await house.withdrawals().withdraw(pending.issuer_id)
    assert await house.destroyed() == [(pending.issuer_id, "operator:otto", "no")]


async def test_a_certificate_in_whose_place_another_key_signs_is_refused(house: House) -> None:
    pending = await house.requests().request(IN_TOKEN)
    house.token.keys[bytes.fromhex(key_of(pending))] = generate(KeyAlgorithm.P_256)

    with pytest.raises(SigningRefused, match="does not verify"):
        await house.complete(pending)

    assert await house.issuing.pending() == [pending]


async def test_while_its_token_is_away_a_certificate_waits_outside(house: House) -> None:
    pending = await house.requests().request(IN_TOKEN)
    house.token.take_away()

    with pytest.raises(SignerUnavailable):
        await house.complete(pending)

    house.token.bring_back()
    assert house.thread.check() is None
    assert (await house.complete(pending)).token_key == pending.token_key
    assert await house.issuing.pending() == []


async def test_a_damaged_record_is_withdrawn_like_any_other(house: House) -> None:
    damaged, keyless = [await house.requests().request(wish) for wish in (IN_TOKEN, SEALED)]
    await house.store.sql(
        f"UPDATE pending_issuers SET request = '' WHERE id = '{damaged.issuer_id}'",  # noqa: S608
        "UPDATE pending_issuers SET key_master_key_id = NULL, key_wrapped_key = NULL, key_ciphertext = NULL"  # noqa: S608
        f" WHERE id = '{keyless.issuer_id}'",
    )

    for one in (damaged, keyless):
        await house.withdrawals().withdraw(one.issuer_id)

    assert await house.issuing.pending() == []
    assert house.token.keys == {}
