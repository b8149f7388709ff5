"""Processes that make CRLs, in tests: what each shows, what it has built, and what happens meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from cryptography import x509
from typing_extensions import override

from ca.address import Mailbox
from ca.keys import PrivateKey
from ca.pkcs11 import TokenThread
from ca.revocation import PreparedCrl
from ca.sealing import Sealer
from directory.authorities import AuthorityBoard
from directory.crl_building import BuiltCrl, OpenCrlIssuer, Pages, ThreadOrProcess
from directory.crl_production import CrlProduction
from directory.crls import CrlRhythm, StandingIssuer
from directory.lookup import Minted
from directory.revocation import Revocation, RevocationReason
from directory.store.crls import SqlCrlStore
from directory.store.database import Database
from directory.store.revocations import SqlRevocationStore
from directory.wiring.authorities import CrlIssuers
from directory.wiring.signers import Signers
from tests.builders import Authority
from tests.contracts.world import SEALER, Store
from tests.directory.builders import a_mint_context
from tests.directory.clocks import StoppedClock
from tests.directory.minting import ReadyKeys, an_enroller

ANNA = Mailbox.parse("anna@example.org")
DAY = timedelta(days=1)
WEEK = timedelta(days=7)


class WatchedBuilder(ThreadOrProcess):
    """Lets something happen before a CRL is signed, and tells how many were."""

    def __init__(self, open_issuer: OpenCrlIssuer) -> None:
        super().__init__(open_issuer, longest_in_a_thread=50)
        self.built: list[tuple[str, str | None]] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    @override
    async def build(self, standing: StandingIssuer, prepared: PreparedCrl, pages: Pages) -> BuiltCrl:
        built = await super().build(standing, prepared, pages)
        self.built.append((standing.issuer_id, prepared.distribution_point))
        if self.meanwhile is not None:
            await self.meanwhile()
        return built


class Node:
    """One process of a service: its board, and what makes CRLs there."""

    def __init__(
        self,
        database: Database,
        clock: StoppedClock,
        *,
        name: str = "node-1",
        sealer: Sealer = SEALER,
        token: TokenThread | None = None,
    ) -> None:
        self.board = AuthorityBoard()
        issuers = CrlIssuers(Signers(sealer, token))
        self.builder = WatchedBuilder(issuers.open)
        self.production = CrlProduction(
            store=SqlCrlStore(database, node=name),
            board=self.board,
            builder=self.builder,
            has_key=issuers.has_key,
            rhythm=CrlRhythm(interval=DAY, validity=WEEK),
            clock=clock,
            uniform=self._no_pause,
            doubt=lambda: self.doubt,
        )
        self.doubt: str | None = None
        self._until: Callable[[], bool] = lambda: False

    async def run(self, until: Callable[[], bool]) -> None:
        """Look again and again, without pauses, until something is so."""
        self._until = until
        async with asyncio.timeout(20):
            await self.production.run()

    def _no_pause(self, _shortest: float, _longest: float) -> float:
        if self._until():
            self.production.stop()
        return 0.0

    def numbers(self) -> list[int]:
        return [crl.number for crl in self.board.crls()]

    def listed(self, issuer_id: str, partition: int | None = None) -> set[int]:
        crl = self.board.crl(issuer_id, partition)
        assert crl is not None
        return {entry.serial_number for entry in x509.load_der_x509_crl(crl.der)}


async def mint_anna(store: Store, authority: Authority, key: PrivateKey) -> int:
    """Mint; return the serial number."""
    answer = await an_enroller(store.database, authority, ReadyKeys([key])).mint(ANNA, a_mint_context())
    assert isinstance(answer, Minted)
    return answer.certificate.serial


async def revoke_anna(store: Store, clock: StoppedClock) -> None:
    revocation = Revocation(store=SqlRevocationStore(store.database, node="desk"), clock=clock)
    await revocation.revoke_address(ANNA, RevocationReason.KEY_COMPROMISE, "operator:olga")
