"""Operators who make, complete and withdraw requests for issuing CAs, and what may come in between."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.carequests import read_ca_request
from ca.issuerimport import fingerprint
from ca.keys import KeyAlgorithm
from ca.pkcs11 import TokenKey, TokenLimits, TokenThread
from directory.audit import AuditEvent, AuditKind
from directory.hierarchy import StoredIssuer
from directory.issuing import IssuingDesk
from directory.issuing_ports import PendingIssuer, Wish
from directory.sparekeys import SpareKeys
from directory.store.database import Database
from directory.store.issuing import SqlIssuing
from directory.store.spare_keys import SqlSpareKeys
from directory.wiring.signers import Signers
from directory.withdrawal import DestroyedKeys, WithdrawalDesk
from tests.ca.strangers import Stranger
from tests.contracts.world import NOW, SEALER, Store
from tests.directory.clocks import StoppedClock
from tests.directory.issuerkeys import SealedKeys
from tests.faketoken import FakeToken

CLOCK = StoppedClock(NOW)
PATIENT = TokenLimits(sign=60, connect=60)
SEALED = Wish(key_algorithm=KeyAlgorithm.P_256)
IN_TOKEN = Wish(key_algorithm=KeyAlgorithm.P_256, in_token=True)


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
        for subject, actor, written in rows:
            detail: dict[str, str] = json.loads(str(written))
            assert detail["reason"] == "withdrawn"
            found.append((subject, actor, detail.get("found", "")))
        return found


def key_of(pending: PendingIssuer) -> str:
    assert pending.token_key is not None
    return pending.token_key.key_id


async def until_waiting(store: Store, *, sessions: int) -> None:
    """Return when so many sessions wait for others."""
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
    )
    async with asyncio.timeout(60):
        while await store.rows(query) != [(sessions,)]:
            pass
