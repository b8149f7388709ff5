"""Who makes the CRLs, and when does everybody see them?

Every process looks every few seconds. Whoever finds a CRL due makes it, and the store takes only one that
follows the latest: of several made at once one is published, and the others take that one. So no process is
the one that makes them, and none is missed when it dies. Each begins at another one, and leaves out what
somebody else has made meanwhile: so several share the work.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

from cryptography import x509

from ca.errors import CaError, SignerUnavailable
from ca.revocation import PreparedCrl
from directory.audit import AuditEvent, AuditKind
from directory.authorities import AuthorityBoard, PublishedAuthority, PublishedCrl
from directory.clock import Clock
from directory.crl_building import LONGEST_IN_A_THREAD, CrlBuilder
from directory.crls import (
    CrlRecord,
    CrlRhythm,
    CrlStore,
    Occasion,
    StandingCrl,
    StandingIssuer,
    StoredCrl,
    next_number,
)
from directory.rounds import Rounds, Uniform
from directory.timekeeping import Doubt, never_doubted

logger = logging.getLogger(__name__)

POLL = timedelta(seconds=5)
"""How often a process looks, at least: so long after a revocation, the CRL that lists it is being made."""
_REMINDERS_APART = timedelta(minutes=5)
_SCHEDULED_AT_ONCE = 16
"""So many CRLs are made in one look though nothing was revoked: what is revoked meanwhile shall not wait."""

HasKey: TypeAlias = Callable[[StandingIssuer], bool]
"""Tells whether the key of an issuer is here: sealed, or in a token that is configured."""
_Due: TypeAlias = tuple[StandingIssuer, StandingCrl, Occasion]


class CrlProduction:
    """Makes the CRLs that are due, and puts on the board what is published, whoever made it."""

    def __init__(
        self,
        *,
        store: CrlStore,
        board: AuthorityBoard,
        builder: CrlBuilder,
        has_key: HasKey,
        rhythm: CrlRhythm,
        clock: Clock,
        uniform: Uniform,
        doubt: Doubt = never_doubted,
        actor: str = "service",
    ) -> None:
        self._store = store
        self._board = board
        self._builder = builder
        self._has_key = has_key
        self._rhythm = rhythm
        self._clock = clock
        self._uniform = uniform
        self._doubt = doubt
        self._actor = actor
        self._rounds = Rounds(apart=POLL, failing="CRLs have to wait", uniform=uniform)
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
        await self._rounds.run(self._round)

    def stop(self) -> None:
        """Let `run` end: after the CRL that is being made."""
        self._rounds.stop()

    async def _round(self) -> None:
        try:
            await self.refresh()
        finally:
            self._remind()

    async def refresh(self) -> Mapping[str, CaError]:
        """Make what is due, then show what is published; return what failed, by issuer.

        An issuer that fails does not keep the others from theirs.

        Raises:
            StoreUnavailable: the database does not answer; what was shown before is still shown.
        """
        failed: dict[str, CaError] = {}
        standings = await self._store.issuers()
        due = self._due(standings)
        long = [one for one in due if _is_long(one[1])]
        short = [one for one in due if one not in long]
        await self._make_all(short, failed)
        await self._show(await self._store.issuers() if short else standings)
        if long:  # each takes a while; whoever waits for the others sees them already
            await self._make_all(long, failed)
            await self._show(await self._store.issuers())
        return failed

    async def issue_now(self) -> Sequence[PublishedCrl]:
        """Make every CRL of every issuer whose key is at hand, due or not; return what is published then.

        Raises:
            CaError: an issuer could not make its CRL.
            StoreUnavailable: the database does not answer.
        """
        for standing in await self._store.issuers():
            if self._is_at_work(standing):
                for crl in standing.crls:
                    await self._make(standing, crl, Occasion.COMMAND)
        await self._show(await self._store.issuers())
        return self._board.crls()

    def problem(self) -> str | None:
        """Tell which CRL has expired before its issuer, for a readiness check; None if all hold."""
        now = self._clock.now()
        expired = dict.fromkeys(crl.issuer_id for crl in self._awaited() if crl.next_update <= now)
        return f"the CRL of issuer {', '.join(expired)} has expired" if expired else None

    def _due(self, standings: Iterable[StandingIssuer]) -> Sequence[_Due]:
        """Return what is to be made now, of what can wait only some."""
        # By a clock in doubt it would be out of date, or not begin yet; what is published may still hold.
        if self._doubt() is not None:
            return []
        now = self._clock.now()
        due = [
            (standing, crl, occasion)
            for standing in standings
            if self._is_at_work(standing)
            for crl in standing.crls
            if (occasion := self._rhythm.due(crl, now)) is not None
        ]
        waiting = [one for one in due if _can_wait(*one[1:], now)]
        first = int(self._uniform(0, len(waiting)))
        chosen = (waiting[first:] + waiting[:first])[:_SCHEDULED_AT_ONCE]
        return [one for one in due if one not in waiting] + chosen

    def _is_at_work(self, standing: StandingIssuer) -> bool:
        return self._has_key(standing) and self._is_valid(standing)

    def _is_valid(self, standing: StandingIssuer) -> bool:
        # Nobody asks an issuer that has itself expired about what it issued.
        return self._holds(standing.certificate)

    def _holds(self, certificate: bytes) -> bool:
        return x509.load_der_x509_certificate(certificate).not_valid_after_utc > self._clock.now()

    async def _make_all(self, due: Iterable[_Due], failed: dict[str, CaError]) -> None:
        for standing, crl, occasion in due:
            if self._rounds.is_stopped:  # whoever runs next makes the others
                return
            if standing.issuer_id in failed:
                continue
            try:
                await self._make(standing, crl, occasion)
            except CaError as error:
                failed[standing.issuer_id] = error
                self._say(logging.ERROR, "issuer %s could not make its CRL: %s", standing.issuer_id, error)

    async def _make(self, standing: StandingIssuer, crl: StandingCrl, occasion: Occasion) -> None:
        """Make a CRL and publish it, unless somebody else was first.

        1. What must be listed is read after the number of the latest CRL and the count of changes.
        2. The CRL is linted and signed outside any transaction.
        3. It is published only if the latest is still the one it follows. If certificates were revoked in
           between, the count says so, and the next look finds another one due.
        """
        latest = await self._store.latest_number(standing.issuer_id, crl.partition)
        if latest != (replaces := crl.latest.number if crl.latest else None):
            return
        now = self._clock.now().replace(microsecond=0)
        covers_from = self._rhythm.covers_from(crl.latest, now)
        prepared = PreparedCrl(
            number=next_number(crl.latest, now),
            this_update=now,
            next_update=now + self._rhythm.validity,
            revoked=(),
            distribution_point=crl.distribution_point,
        )
        pages = self._store.revoked(standing.issuer_id, crl.partition, covers_from)
        built = await self._builder.build(standing, prepared, pages)
        stored = StoredCrl(
            issuer_id=standing.issuer_id,
            partition=crl.partition,
            der=built.der,
            record=CrlRecord(
                number=prepared.number,
                this_update=prepared.this_update,
                next_update=prepared.next_update,
                covers_from=covers_from,
                entries=built.entries,
                changes=crl.changes,
            ),
        )
        if await self._store.publish(stored, replaces=replaces, event=self._event(stored, occasion)):
            said = "issuer %s has made CRL %d of partition %s with %d entries (%s)"
            partition = "-" if crl.partition is None else crl.partition
            record = stored.record
            logger.info(said, standing.issuer_id, record.number, partition, record.entries, occasion.value)

    def _event(self, crl: StoredCrl, occasion: Occasion) -> AuditEvent:
        record = crl.record
        detail = {
            "number": str(record.number),
            "entries": str(record.entries),
            "this_update": record.this_update.isoformat(),
            "next_update": record.next_update.isoformat(),
            "sha256": hashlib.sha256(crl.der).hexdigest(),
            "occasion": occasion.value,
        }
        if crl.partition is not None:
            detail["partition"] = str(crl.partition)
        return AuditEvent(
            kind=AuditKind.CRL_ISSUED,
            at=self._clock.now(),
            actor=self._actor,
            subject=crl.issuer_id,
            detail=detail,
        )

    async def _show(self, standings: Sequence[StandingIssuer]) -> None:
        crls = [
            crl
            for standing in standings
            for one in standing.crls
            if (crl := await self._current(standing, one)) is not None
        ]
        complete = {crl.issuer_id: crl for crl in crls if crl.partition is None}
        authorities = {
            standing.issuer_id: PublishedAuthority(
                certificate=standing.certificate,
                is_root=standing.is_root,
                crl=crl.der if (crl := complete.get(standing.issuer_id)) else None,
                cross_certificates=tuple(filter(self._holds, standing.cross_certificates)),
            )
            for standing in standings
        }
        self._board.show(authorities, crls)
        self._valid = frozenset(
            one.issuer_id for one in standings if self._is_valid(one) and not one.is_foreign
        )
        self._without_crl = self._valid - complete.keys()

    async def _current(self, standing: StandingIssuer, crl: StandingCrl) -> PublishedCrl | None:
        shown, latest = self._board.crl(standing.issuer_id, crl.partition), crl.latest
        if shown is not None and latest is not None and shown.number == latest.number:
            return shown
        stored = await self._store.latest(standing.issuer_id, crl.partition) if latest is not None else None
        if stored is None:  # or it was succeeded while it was read
            return shown
        return PublishedCrl(
            issuer_id=standing.issuer_id,
            issuer_certificate=standing.certificate,
            partition=stored.partition,
            entries=stored.record.entries,
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


def _can_wait(crl: StandingCrl, occasion: Occasion, now: datetime) -> bool:
    """Whether nobody misses the next one yet."""
    return occasion is Occasion.SCHEDULE and crl.latest is not None and crl.latest.next_update > now


def _is_long(crl: StandingCrl) -> bool:
    return crl.latest is not None and crl.latest.entries > LONGEST_IN_A_THREAD
