"""Who signs the heads of the chains, and when? Every process its own, twice a minute while something happens.

Nothing is signed on trust: what was written since the last signed head is read again and must continue it,
and a head that this process has signed must not have gone. So whoever changes the database between two
signatures finds that the log is signed no further, and everybody finds where it stops.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from ca.errors import CaError
from directory.audit import ChainedEvent
from directory.clock import Clock
from directory.errors import DirectoryError
from directory.evidence.exporting import ChainStanding
from directory.evidence.following import ChainCheck, Finding, Flaw, link_of
from directory.evidence.keys import AuditKeys
from directory.evidence.statements import AuditSigner, KeyStatement, SignedHead
from directory.evidence.trust import Standing, TrustedKeys

logger = logging.getLogger(__name__)

PROMISE: Final = timedelta(seconds=60)
"""How long a chain that moved goes unsigned at most."""
INTERVAL: Final = PROMISE / 2
"""Half of what is promised, so that one attempt may fail."""
_PATIENCE_WITH_OTHERS: Final = timedelta(minutes=2)


class NotaryStore(Protocol):
    """Knows the chains, and keeps their signed heads."""

    async def standings(self) -> Sequence[ChainStanding]:
        """Return how every chain stands."""
        ...

    def events(self, node: str, *, after: int, last: int) -> AsyncIterator[ChainedEvent]:
        """Yield a node's events in that range, in order."""
        ...

    async def keep(self, head: SignedHead) -> None:
        """Keep a signed head, unless it is kept already."""
        ...


Deposit = Callable[[Sequence[KeyStatement], SignedHead], Awaitable[None]]
"""Takes a signed head away from the database, with the keys it can be checked by."""


class Notary:
    """Signs the heads of chains that are whole."""

    def __init__(
        self, *, node: str, store: NotaryStore, keys: AuditKeys, deposit: Deposit, clock: Clock
    ) -> None:
        self._node = node
        self._store = store
        self._keys = keys
        self._deposit = deposit
        self._clock = clock
        self._signed: dict[str, SignedHead] = {}
        self._waiting: dict[str, tuple[int, datetime]] = {}

    async def run(self, stopped: asyncio.Event) -> None:
        """Sign until told to stop; what fails is tried again next time."""
        while not stopped.is_set():
            await self.attempt()
            try:
                async with asyncio.timeout(INTERVAL.total_seconds()):
                    await stopped.wait()
            except TimeoutError:
                continue

    async def attempt(self) -> None:
        """Sign what is this process's to sign; what keeps it from that is logged, and stops nothing else."""
        try:
            await self.sign(self._is_ours)
        except (DirectoryError, CaError) as error:
            logger.error("audit heads are not signed just now: %s", error)  # noqa: TRY400 - its text is all

    async def sign(self, which: Callable[[ChainStanding], bool] = lambda _: True) -> Mapping[str, int]:
        """Sign the heads that have moved; return how far each of these chains is signed now.

        A chain that is not whole stays as it is, and is not among them.

        Raises:
            Unknown, SealBroken, KeyRefused: there is no key, or it does not open.
            StoreUnavailable: the database does not answer.
            ConfigurationRefused: a signed head could not be taken away from the database; it is kept there.
        """
        signer = await self._keys.signer()
        statements = await self._keys.statements()
        trusted = TrustedKeys([signer.public_key])
        for statement in statements:
            trusted.learn(statement)
        ends: dict[str, int] = {}
        for standing in await self._store.standings():
            node = standing.head.node
            if not which(standing):
                continue
            findings = await self._flaws(standing, trusted)
            if findings:
                logger.error("the audit log is not whole, so its head is not signed: %s", findings[0])
                continue
            await self._sign(standing, signer, statements)
            ends[node] = standing.head.sequence
        return ends

    def _is_ours(self, standing: ChainStanding) -> bool:
        """Whether to sign it: our own; another one only if nobody else does for minutes."""
        node, signed = standing.head.node, standing.signed
        done = signed.sequence if signed else 0
        if node == self._node or done >= standing.head.sequence:
            self._waiting.pop(node, None)
            return node == self._node
        now = self._clock.now()
        seen, since = self._waiting.setdefault(node, (done, now))
        if seen != done:
            self._waiting[node] = done, now
            return False
        return now - since >= _PATIENCE_WITH_OTHERS

    async def _flaws(self, standing: ChainStanding, trusted: TrustedKeys) -> Sequence[Finding]:
        """Return why a chain cannot be signed."""
        head, stored = standing.head, standing.signed
        if stored and not _is_good(stored, trusted):
            reason = "its newest signed head is not signed by us"
            return [
                Finding(flaw=Flaw.HEAD_SIGNATURE, node=head.node, sequence=stored.sequence, reason=reason)
            ]
        known = max(filter(None, (stored, self._signed.get(head.node))), key=_sequence, default=None)
        after = known.sequence if known else 0
        check = ChainCheck(head.node, trusted=trusted, after=after, hash_there=known.hash if known else None)
        if known and (stored is None or stored.sequence < known.sequence):
            reason = "its head was signed, and that is no longer known"
            return [Finding(flaw=Flaw.CUT, node=head.node, sequence=known.sequence, reason=reason)]
        if standing.last == after:
            return check.stored_end(head)
        last = max(standing.last, head.sequence)
        async for event in self._store.events(head.node, after=after, last=last):
            if findings := check.event(link_of(event)):
                return findings
        return check.stored_end(head)

    async def _sign(
        self, standing: ChainStanding, signer: AuditSigner, statements: Sequence[KeyStatement]
    ) -> None:
        head, signed = standing.head, standing.signed
        if head.sequence == 0:
            return
        for known in filter(None, (signed, self._signed.get(head.node))):
            if (known.sequence, known.key_id) == (head.sequence, signer.key_id):
                self._signed[head.node] = known
                return
        signed = signer.head(head, self._clock.now())
        await self._store.keep(signed)
        self._signed[head.node] = signed
        await self._deposit(statements, signed)


def _sequence(head: SignedHead) -> int:
    return head.sequence


def _is_good(head: SignedHead, trusted: TrustedKeys) -> bool:
    return trusted.standing(head.key_id) is not Standing.UNKNOWN and trusted.signed(
        head.key_id, head.signature, head.statement
    )
