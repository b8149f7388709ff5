"""A token and a database, and processes that share them."""

from dataclasses import dataclass, field
from datetime import timedelta

from cryptography import x509

from ca.keys import KeyAlgorithm, generate
from ca.pkcs11 import TokenKey, TokenLimits, TokenThread
from ca.profiles import Purpose
from directory.audit import AuditEvent
from directory.ocsp_responders import OcspResponders, ResponderKey, StoredResponder
from directory.rounds import Uniform
from directory.sparekeys import UNCLAIMED_AFTER, SpareKeys
from directory.store.ocsp import SqlResponders
from directory.store.spare_keys import SqlSpareKeys
from directory.wiring.ocsp import KeptResponders
from directory.wiring.signers import Signers
from tests.builders import NOW, PUBLICATION, Authority, a_profile
from tests.contracts.world import SEALER, Store
from tests.directory.clocks import StoppedClock
from tests.faketoken import FakeToken
from tests.responders import a_mark

DAY = timedelta(days=1)


MOMENT = timedelta(seconds=1)


PATIENT = TokenLimits(sign=60, connect=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One of several that share database and token."""

    responders: OcspResponders
    workshop: KeptResponders
    spare: SpareKeys
    store: SqlResponders


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A token and a database, and the processes that use them."""

    store: Store
    token: FakeToken
    clock: StoppedClock
    doubts: list[str] = field(default_factory=list)
    """Not empty, the clock is in doubt."""

    def process(
        self,
        name: str = "node-1",
        where: ResponderKey = ResponderKey.TOKEN,
        uniform: Uniform = lambda _shortest, longest: longest,
    ) -> Process:
        thread = TokenThread(self.token, PATIENT)
        store = SqlResponders(self.store.database, node=name)
        profile = a_profile(Purpose.OCSP_RESPONDER, key_algorithm=KeyAlgorithm.P_256)
        workshop = KeptResponders(Signers(SEALER, thread), SEALER, PUBLICATION, profile, where=where)
        return Process(
            responders=OcspResponders(
                store=store,
                workshop=workshop,
                renew_before=10 * DAY,
                clock=self.clock,
                uniform=uniform,
            ),
            workshop=workshop,
            spare=self.clearing(thread, name),
            store=store,
        )

    def clearing(self, token: TokenThread, node: str) -> SpareKeys:
        return SpareKeys(
            store=SqlSpareKeys(self.store.database, node=node),
            token=token,
            clock=self.clock,
            uniform=lambda _shortest, longest: longest,
            doubt=lambda: next(iter(self.doubts), None),
        )

    async def left_over(self) -> TokenKey:
        """Return where in the token a key is that may be destroyed now."""
        place = TokenKey(token=self.token.label, key_id="0a")
        self.token.keys[bytes.fromhex(place.key_id)] = generate(KeyAlgorithm.P_256)
        await SqlResponders(self.store.database, node="node-1").announce(place, unclaimed_from=NOW)
        return place

    async def certified(self, process: Process) -> tuple[StoredResponder, AuditEvent]:
        """Return a responder that is made, but not kept yet, and the event with which it is."""
        (standing,) = await process.store.standings()
        place = process.workshop.place(standing)
        assert place is not None
        await process.store.announce(place, unclaimed_from=NOW + UNCLAIMED_AFTER)
        made = process.workshop.certify(standing, number=1, now=NOW, place=place)
        return made, process.responders._event(made)

    @property
    def made(self) -> set[str]:
        return {key_id.hex() for key_id in self.token.keys}

    async def in_use(self) -> set[object]:
        rows = await self.store.rows("SELECT token_key FROM ocsp_responders WHERE token_key IS NOT NULL")
        return {key for (key,) in rows}

    async def spare(self) -> set[object]:
        return {key for (key,) in await self.store.rows("SELECT token_key FROM spare_token_keys")}

    async def destroyed(self) -> list[object]:
        rows = await self.store.rows(
            "SELECT subject FROM audit_events WHERE kind = 'ocsp_responder.key_destroyed' ORDER BY sequence"
        )
        return [subject for (subject,) in rows]


def signs(process: Process, authority: Authority) -> x509.Certificate:
    seat = process.responders.seat(a_mark(authority))
    assert seat is not None
    assert seat.responder is not None
    return seat.responder.certificate
