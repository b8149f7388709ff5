"""Who makes the CRLs, and when does everybody see them?

Every process looks every few seconds. Whoever finds a CRL due makes it, and the store takes only one that
follows the latest: of several made at once one is published, and the others take that one. So no process is
the one that makes them, and none is missed when it dies.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.errors import CaError, SignerUnavailable
from ca.revocation import CrlIssuer, PreparedCrl
from directory.audit import AuditEvent, AuditKind
from directory.authorities import AuthorityBoard, PublishedAuthority, PublishedCrl
from directory.clock import Clock
from directory.crls import CrlRecord, CrlRhythm, CrlStore, Occasion, StandingIssuer, StoredCrl, next_number
from directory.errors import StoreUnavailable
from directory.timekeeping import Doubt, never_doubted

logger = logging.getLogger(__name__)

POLL = timedelta(seconds=5)
"""How often a process looks, at least: so long after a revocation, the CRL that lists it is being made."""
_REMINDERS_APART = timedelta(minutes=5)

OpenCrlIssuer: TypeAlias = Callable[[StandingIssuer], CrlIssuer]
"""Opens the key of an issuer whose key is here. Raises CaError if it does not open."""
HasKey: TypeAlias = Callable[[StandingIssuer], bool]
"""Tells whether the key of an issuer is here: sealed, or in a token that is configured."""
Uniform: TypeAlias = Callable[[float, float], float]
"""Draws a number between two others."""


class CrlProduction:
    """Makes the CRLs that are due, and puts on the board what is published, whoever made it."""

    def __init__(
        self,
        *,
        store: CrlStore,
        board: AuthorityBoard,
        open_issuer: OpenCrlIssuer,
        has_key: HasKey,
        rhythm: CrlRhythm,
        clock: Clock,
        uniform: Uniform,
        doubt: Doubt = never_doubted,
        actor: str = "service",
    ) -> None:
        self._store = store
        self._board = board
        self._open_issuer = open_issuer
        self._has_key = has_key
        self._rhythm = rhythm
        self._clock = clock
        self._uniform = uniform
        self._doubt = doubt
        self._actor = actor
        self._stopped = asyncio.Event()
        self._valid: frozenset[str] = frozenset()
        self._without_crl: frozenset[str] = frozenset()
        self._reminded: dict[str, datetime] = {}

    async def start(self) -> None:
        """Make what is due and show what is published, before anybody asks.

        Raises:
            CaError: an issuer could not make its CRL, and has none that still holds; unless it is for a token
                that is away, which keeps nobody from what is there.
            StoreUnavailable: the database does not answer.
        """
        for issuer_id, error in (await self.refresh()).items():
            crl = self._board.crl(issuer_id)
            if isinstance(error, SignerUnavailable):
                continue
            if crl is None or crl.next_update <= self._clock.now():
                raise error

    async def run(self) -> None:
        """Look again and again until stopped; what fails is tried again next time."""
        while not await self._stopped_within(self._uniform(0.5, 1.0) * POLL):
            try:
                await self.refresh()
            except StoreUnavailable as error:
                logger.warning("CRLs have to wait: %s", error.reason)
            except Exception as error:  # noqa: BLE001 - the top of a task that must not end
                # Its text, and its traceback, may hold anything.
                logger.error("CRLs have to wait: %s", type(error).__name__)  # noqa: TRY400 - see above
            self._remind()

    def stop(self) -> None:
        """Let `run` end."""
        self._stopped.set()

    async def refresh(self) -> Mapping[str, CaError]:
        """Make what is due, then show what is published; return what failed, by issuer.

        An issuer that fails does not keep the others from theirs.

        Raises:
            StoreUnavailable: the database does not answer; what was shown before is still shown.
        """
        failed: dict[str, CaError] = {}
        standings = await self._store.issuers()
        occasions = [(standing, occasion) for standing in standings if (occasion := self._due(standing))]
        for standing, occasion in occasions:
            try:
                await self._make(standing, occasion)
            except CaError as error:
                failed[standing.issuer_id] = error
                self._say(logging.ERROR, "issuer %s could not make its CRL: %s", standing.issuer_id, error)
        await self._show(await self._store.issuers() if occasions else standings)
        return failed

    async def issue_now(self) -> Sequence[PublishedCrl]:
        """Make the CRL of every issuer whose key is at hand, due or not; return what is published then.

        Raises:
            CaError: an issuer could not make its CRL.
            StoreUnavailable: the database does not answer.
        """
        for standing in await self._store.issuers():
            if self._is_at_work(standing):
                await self._make(standing, Occasion.COMMAND)
        await self._show(await self._store.issuers())
        return self._board.crls()

    def problem(self) -> str | None:
        """Tell which CRL has expired before its issuer, for a readiness check; None if all hold."""
        now = self._clock.now()
        expired = [crl.issuer_id for crl in self._awaited() if crl.next_update <= now]
        return f"the CRL of issuer {', '.join(expired)} has expired" if expired else None

    async def _stopped_within(self, time: timedelta) -> bool:
        try:
            async with asyncio.timeout(time.total_seconds()):
                return await self._stopped.wait()
        except TimeoutError:
            return False

    def _due(self, standing: StandingIssuer) -> Occasion | None:
        # By a clock in doubt it would be out of date, or not begin yet; what is published may still hold.
        if not self._is_at_work(standing) or self._doubt() is not None:
            return None
        return self._rhythm.due(standing.latest, revoked=standing.revoked, now=self._clock.now())

    def _is_at_work(self, standing: StandingIssuer) -> bool:
        return self._has_key(standing) and self._is_valid(standing)

    def _is_valid(self, standing: StandingIssuer) -> bool:
        # Nobody asks an issuer that has itself expired about what it issued.
        return x509.load_der_x509_certificate(standing.certificate).not_valid_after_utc > self._clock.now()

    async def _make(self, standing: StandingIssuer, occasion: Occasion) -> None:
        """Make a CRL and publish it, unless somebody else was first.

        1. What must be listed is read after the number of the latest CRL.
        2. The CRL is linted and signed, in a thread, outside any transaction.
        3. It is published only if the latest is still the one it follows. If certificates were revoked in
           between, its count says so, and the next look finds another one due.
        """
        now = self._clock.now().replace(microsecond=0)
        covers_from = self._rhythm.covers_from(standing.latest, now)
        revoked = await self._store.revoked(standing.issuer_id, covers_from)
        prepared = PreparedCrl(
            number=next_number(standing.latest, now),
            this_update=now,
            next_update=now + self._rhythm.validity,
            revoked=revoked,
        )
        der = await asyncio.to_thread(self._signed, standing, prepared)
        record = CrlRecord(
            number=prepared.number,
            this_update=prepared.this_update,
            next_update=prepared.next_update,
            covers_from=covers_from,
            entries=len(revoked),
        )
        published = await self._store.publish(
            StoredCrl(issuer_id=standing.issuer_id, der=der, record=record),
            replaces=standing.latest.number if standing.latest else None,
            event=self._event(standing.issuer_id, record, der, occasion),
        )
        if published:
            said = "issuer %s has made CRL %d with %d entries (%s)"
            logger.info(said, standing.issuer_id, record.number, record.entries, occasion.value)

    def _signed(self, standing: StandingIssuer, prepared: PreparedCrl) -> bytes:
        return self._open_issuer(standing).issue(prepared).public_bytes(Encoding.DER)

    def _event(self, issuer_id: str, record: CrlRecord, der: bytes, occasion: Occasion) -> AuditEvent:
        return AuditEvent(
            kind=AuditKind.CRL_ISSUED,
            at=self._clock.now(),
            actor=self._actor,
            subject=issuer_id,
            detail={
                "number": str(record.number),
                "entries": str(record.entries),
                "this_update": record.this_update.isoformat(),
                "next_update": record.next_update.isoformat(),
                "sha256": hashlib.sha256(der).hexdigest(),
                "occasion": occasion.value,
            },
        )

    async def _show(self, standings: Sequence[StandingIssuer]) -> None:
        crls = [await self._current(standing) for standing in standings]
        authorities = {
            standing.issuer_id: PublishedAuthority(
                certificate=standing.certificate, is_root=standing.is_root, crl=crl.der if crl else None
            )
            for standing, crl in zip(standings, crls, strict=True)
        }
        self._board.show(authorities, [crl for crl in crls if crl is not None])
        self._valid = frozenset(
            one.issuer_id for one in standings if self._is_valid(one) and not one.is_foreign
        )
        self._without_crl = self._valid - {crl.issuer_id for crl in crls if crl is not None}

    async def _current(self, standing: StandingIssuer) -> PublishedCrl | None:
        shown, latest = self._board.crl(standing.issuer_id), standing.latest
        if shown is not None and latest is not None and shown.number == latest.number:
            return shown
        stored = await self._store.latest(standing.issuer_id) if latest is not None else None
        if stored is None:
            return None
        return PublishedCrl(
            issuer_id=standing.issuer_id,
            issuer_certificate=standing.certificate,
            der=stored.der,
            number=stored.record.number,
            this_update=stored.record.this_update,
            next_update=stored.record.next_update,
        )

    def _awaited(self) -> Iterator[PublishedCrl]:
        """Yield the CRLs that must have a successor in time."""
        return (crl for crl in self._board.crls() if crl.issuer_id in self._valid)

    def _remind(self) -> None:
        """Say in the log, again and again, what somebody has to do something about."""
        now = self._clock.now()
        for issuer_id in self._without_crl:
            self._say(logging.WARNING, "issuer %s has no CRL", issuer_id)
        for crl in self._awaited():
            if crl.next_update <= now:
                self._say(
                    logging.ERROR, "the CRL of issuer %s has expired, and is still served", crl.issuer_id
                )
            elif crl.next_update - now < (crl.next_update - crl.this_update) / 4:
                self._say(
                    logging.WARNING, "the CRL of issuer %s ends soon, and has no successor", crl.issuer_id
                )

    def _say(self, level: int, text: str, issuer_id: str, *more: object) -> None:
        now, what = self._clock.now(), text % (issuer_id, *more)
        if (last := self._reminded.get(what)) is None or now - last >= _REMINDERS_APART:
            self._reminded[what] = now
            logger.log(level, text, issuer_id, *more)
