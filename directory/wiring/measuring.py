"""What of the running service is measured? Every number of `/metrics`, by its name and where it comes from.

Labels come from closed sets. Nothing here is an address, a name or a secret.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from ca.keypool import KeyPool
from ca.keys import KeyAlgorithm
from ca.pkcs11 import TokenThread
from directory import __version__
from directory.authorities import AuthorityBoard
from directory.backlog import Backlog, BacklogReader
from directory.clock import Clock
from directory.delivery.outbox import Outbox
from directory.errors import StoreUnavailable
from directory.http.services import Page, RequestTally
from directory.ldap.answers import Statistics
from directory.ldap.responses import results_written
from directory.ldap.server import LdapServer
from directory.lookup import Minter
from directory.makers import MakerRoster
from directory.metrics import CONTENT_TYPE, Across, Metrics, Reading, shared_folder
from directory.store.failures import failures_so_far
from directory.wiring.addresses import FrontEnd
from directory.wiring.counting import AnswerQuestion, CountedOutbox, TimedMinter, counted_answers
from directory.wiring.remembering import Remembered

_MINT_SECONDS: Final = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0)
_BACKLOG_SECONDS: Final = 15.0
"""How old the backlog may be that is shown: reading the page often must not burden the database."""


class Measuring:
    """The metrics of one process, and what counts for them on the way."""

    def __init__(self, *, backlog: BacklogReader, clock: Clock) -> None:
        self.requests: RequestTally = Counter()
        """What HTTP counts."""
        self._metrics = Metrics(shared_folder())
        self._clock = clock
        self._lookups: Counter[tuple[str, ...]] = Counter()
        self._mails: Counter[tuple[str, ...]] = Counter()
        self._backlog = _RecentBacklog(backlog, clock)
        metrics = self._metrics
        metrics.state("pushpki_build_info", "The version that runs.", {"version": __version__})
        metrics.gauge("pushpki_processes", "Processes that serve.", lambda: 1)
        metrics.count(
            "pushpki_lookups_total",
            "Lookups that were not answered from memory, by what came of them and why.",
            ("front_end", "outcome", "reason"),
            lambda: self._lookups,
        )
        self._observe_mint = metrics.durations(
            "pushpki_mint_duration_seconds", "From the decision to mint to the answer.", _MINT_SECONDS
        )
        metrics.count(
            "pushpki_key_mails_total",
            "Attempts to hand a key mail over, by what came of them.",
            ("outcome",),
            lambda: self._mails,
        )
        metrics.count(
            "pushpki_http_requests_total",
            "HTTP requests.",
            ("method", "route", "status"),
            lambda: self.requests,
        )
        metrics.count(
            "pushpki_ldap_results_total",
            "LDAP results that were written, by operation and result code; not those given from memory.",
            ("operation", "code"),
            results_written,
        )
        metrics.count(
            "pushpki_store_failures_total", "Calls that the database did not answer.", (), failures_so_far
        )
        metrics.ask_for(self._backlog.readings)

    def keys(self, keys: KeyPool) -> None:
        """Measure the pool of keys."""
        self._metrics.gauges(
            "pushpki_key_pool_keys",
            "Key pairs that are ready in memory.",
            "algorithm",
            lambda: {algorithm.value: level for algorithm, level in keys.levels.items()},
        )

    def token(self, token: TokenThread | None) -> None:
        """Measure whether the token signs that holds keys of CAs, if there is one."""
        if token is not None:
            self._metrics.gauge(
                "pushpki_token_available",
                "1 while the token with keys of CAs signs, as far as is known; else 0.",
                lambda: float(token.problem is None),
                Across.SMALLEST,
            )

    def crls(self, board: AuthorityBoard) -> None:
        """Measure the CRLs that this process serves, all together: a partition is no label."""
        now, gauge = self._clock.now, self._metrics.gauge
        gauge("pushpki_crls", "CRLs that are served.", lambda: len(board.crls()), Across.LARGEST)
        gauge(
            "pushpki_crl_entries_most",
            "Entries on the longest of them.",
            lambda: max((crl.entries for crl in board.crls()), default=0),
            Across.LARGEST,
        )
        gauge(
            "pushpki_crl_age_seconds_most",
            "The age of the oldest of them.",
            lambda: max(((now() - crl.this_update).total_seconds() for crl in board.crls()), default=0.0),
            Across.LARGEST,
        )
        gauge(
            "pushpki_crl_expired",
            "Those of them that have expired.",
            lambda: sum(1 for crl in board.crls() if crl.next_update <= now()),
            Across.LARGEST,
        )

    def ldap(self, server: LdapServer, remembered: Remembered) -> None:
        """Measure the LDAP front end, what it remembers, and how sure of that it is."""
        answers, follower = remembered.answers, remembered.follower
        metrics = self._metrics
        metrics.gauge("pushpki_ldap_connections", "Open LDAP connections.", lambda: server.connections)
        metrics.count(
            "pushpki_remembered_searches_total",
            "LDAP searches that could be answered from memory, by whether they were.",
            ("outcome",),
            lambda: _by_outcome(answers.statistics()),
        )
        metrics.gauge(
            "pushpki_remembered_answers",
            "LDAP answers that are remembered.",
            lambda: answers.statistics().entries,
        )
        metrics.gauge(
            "pushpki_remembered_octets", "The memory that they take.", lambda: answers.statistics().octets
        )
        metrics.gauge(
            "pushpki_change_feed_age_seconds",
            "For how long nothing was heard of revocations elsewhere; beyond 4, memory is silent.",
            lambda: follower.age,
            Across.LARGEST,
        )

    def issuers(self, makers: MakerRoster) -> None:
        """Measure for how long whoever certifies still can."""
        self._metrics.gauge(
            "pushpki_issuer_seconds",
            "For how long the active issuing CA, or who follows it, can certify for a full period.",
            lambda: makers.seconds_left,
            Across.LARGEST,
        )

    def answering(self, front_end: FrontEnd, answer: AnswerQuestion) -> AnswerQuestion:
        """Return the same, counted."""
        return counted_answers(answer, front_end.value, self._lookups)

    def minter(self, minter: Minter) -> Minter:
        """Return the same, timed."""
        return TimedMinter(minter, self._observe_mint)

    def outbox(self, outbox: Outbox) -> Outbox:
        """Return the same, counted."""
        return CountedOutbox(outbox, self._mails)

    async def page(self) -> Page:
        """Return the page of metrics."""
        return Page(content=await self._metrics.page(), content_type=CONTENT_TYPE)

    @asynccontextmanager
    async def sampled(self) -> AsyncIterator[None]:
        """Keep this process's share fresh for the others, until the context ends."""
        if not self._metrics.is_shared:
            yield
            return
        sampling = asyncio.create_task(self._metrics.keep_sampling(), name="metrics")
        try:
            yield
        finally:
            sampling.cancel()
            with suppress(asyncio.CancelledError):
                await sampling
            self._metrics.sample()


def _by_outcome(statistics: Statistics) -> Mapping[tuple[str, ...], int]:
    return {("hit",): statistics.hits, ("miss",): statistics.misses, ("silence",): statistics.silences}


class _RecentBacklog:
    """The backlog as it was a short while ago; none while the database does not answer."""

    def __init__(self, reader: BacklogReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._read: Backlog | None = None
        self._read_at = float("-inf")

    async def readings(self) -> Sequence[Reading]:
        now = time.monotonic()
        if now - self._read_at >= _BACKLOG_SECONDS:
            self._read_at = now
            try:
                self._read = await self._reader.backlog()
            except StoreUnavailable:
                self._read = None  # the database's failures are counted where they occur
        return () if self._read is None else tuple(self._laid_out(self._read))

    def _laid_out(self, backlog: Backlog) -> Sequence[Reading]:
        oldest = backlog.oldest_mail_from
        age = 0.0 if oldest is None else (self._clock.now() - oldest).total_seconds()
        return (
            Reading(name="pushpki_outbox_mails", text="Key mails not yet taken.", value=backlog.mails),
            Reading(name="pushpki_outbox_oldest_seconds", text="The age of the oldest.", value=age),
            Reading(name="pushpki_relays_open", text="Passwords not yet passed on.", value=backlog.relays),
            Reading(
                name="pushpki_renewals_due",
                text="Certificates to be renewed that are not yet.",
                value=backlog.renewals,
            ),
            Reading(
                name="pushpki_renewals_late",
                text="Those that another should go before by now.",
                value=backlog.late_renewals,
            ),
            *(
                Reading(
                    name="pushpki_key_pool_stored_keys",
                    text="Key pairs that are ready in the database.",
                    value=backlog.pooled_keys.get(algorithm, 0),
                    labels={"algorithm": algorithm.value},
                )
                for algorithm in KeyAlgorithm
                if algorithm.is_rsa
            ),
        )
