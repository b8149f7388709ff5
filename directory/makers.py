"""Who certifies recipients in this process, right now? The issuing CAs that are at work, opened.

Each process looks every few seconds which issuers there are, and opens those that certify now or will. Which
of them does is decided anew for every mint, by the clock: so a succession takes effect at its moment, and an
operator's command a few seconds after it, in every process and without a restart.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeAlias

from ca.errors import CaError
from directory.certificatemaker import CertificateMaker
from directory.clock import Clock
from directory.errors import DirectoryError
from directory.hierarchy import HasKey, Hierarchy, StoredIssuer
from directory.organization import SHARED_SCOPE, Organization
from directory.rounds import Rounds, Uniform
from directory.succession import certifies_until, without_successor

logger = logging.getLogger(__name__)

POLL: Final = timedelta(seconds=3)
"""How often a process looks, at least: so long it does not know of an issuer that was just made active."""
_REMINDERS_APART: Final = timedelta(minutes=5)

OpenMaker: TypeAlias = Callable[[StoredIssuer, tuple[bytes, ...]], Awaitable[CertificateMaker]]
"""Opens the key of an issuer; its chain is given with it. Raises CaError or DirectoryError if it cannot."""


class IssuerRegister(Protocol):
    """Knows the issuers."""

    async def hierarchy(self) -> Hierarchy:
        """Return all of them.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...


class MakerRoster:
    """The issuing CAs that are at work."""

    def __init__(
        self,
        *,
        register: IssuerRegister,
        open_maker: OpenMaker,
        has_key: HasKey,
        only_own: bool,
        validity: timedelta,
        clock: Clock,
        uniform: Uniform,
    ) -> None:
        self._register = register
        self._open_maker = open_maker
        self._has_key = has_key
        self._only_own = only_own
        self._validity = validity
        self._clock = clock
        self._rounds = Rounds(apart=POLL, failing="who certifies cannot be found out", uniform=uniform)
        self._hierarchy = Hierarchy(issuers=())
        self._makers: Mapping[str, CertificateMaker] = {}
        self._reminded: dict[str, datetime] = {}

    def maker(self, organization: Organization, now: datetime) -> CertificateMaker | None:
        """Return whoever certifies recipients for the organization at that moment; None if nobody can."""
        return self._of_scope(organization.scope, now)

    @property
    def shared(self) -> CertificateMaker | None:
        """Whoever certifies now for everybody who has no issuing CA of his own; None if nobody can."""
        return self._of_scope(SHARED_SCOPE, self._clock.now())

    @property
    def seconds_left(self) -> float:
        """For how long whoever certifies for everybody, or will, can give a full period; 0 if nobody does."""
        now = self._clock.now()
        ends = [
            certifies_until(issuer, self._validity)
            for issuer in self._hierarchy.signers(now)
            if issuer.scope == SHARED_SCOPE and issuer.issuer_id in self._makers
        ]
        return max(0.0, (max(ends) - now).total_seconds()) if ends else 0.0

    async def start(self) -> None:
        """Open everybody who is at work.

        Raises:
            CaError, DirectoryError: whoever certifies for everybody now cannot be opened. One who does so for
                an organization alone keeps nobody else from what is there.
            StoreUnavailable: the database does not answer.
        """
        failed = await self.refresh()
        signer = self._hierarchy.signer(SHARED_SCOPE, self._clock.now())
        if signer is not None and signer.issuer_id in failed:
            raise failed[signer.issuer_id]

    async def run(self) -> None:
        """Look again and again until stopped; what fails is tried again next time."""
        await self._rounds.run(self.refresh)

    def stop(self) -> None:
        """Let `run` end."""
        self._rounds.stop()

    async def refresh(self) -> Mapping[str, CaError | DirectoryError]:
        """Open who is at work, let go of the keys of those who are no more; return what failed, by issuer.

        An issuer that fails does not keep the others from their work, and is tried again next time.

        Raises:
            StoreUnavailable: the database does not answer; everything stays as it was.
        """
        hierarchy = await self._register.hierarchy()
        makers: dict[str, CertificateMaker] = {}
        failed: dict[str, CaError | DirectoryError] = {}
        for issuer in hierarchy.signers(self._clock.now()):
            if not self._has_key(issuer):
                self._say(f"issuer {issuer.issuer_id} cannot certify recipients: its key is not here")
                continue
            chain = hierarchy.chain(issuer.issuer_id)
            had = self._makers.get(issuer.issuer_id)
            if had is not None and had.chain == chain:
                makers[issuer.issuer_id] = had
                continue
            try:
                makers[issuer.issuer_id] = await self._open_maker(issuer, chain)
            except (CaError, DirectoryError) as error:
                failed[issuer.issuer_id] = error
                self._say(f"issuer {issuer.issuer_id} cannot certify recipients: {error}")
        self._hierarchy, self._makers = hierarchy, makers
        if self._hierarchy.signer(SHARED_SCOPE, self._clock.now()) is None:
            self._say("no issuing CA is active: nothing is minted")
        for issuer in without_successor(hierarchy, self._validity, self._clock.now()):
            until = certifies_until(issuer, self._validity)
            self._say(f"issuer {issuer.issuer_id} certifies until {until:%Y-%m-%d}, and nobody follows it")
        return failed

    def _of_scope(self, scope: str, now: datetime) -> CertificateMaker | None:
        signer = self._hierarchy.signer(scope, now, only_own=self._only_own)
        return None if signer is None else self._makers.get(signer.issuer_id)

    def _say(self, what: str) -> None:
        """Say in the log, now and then, what somebody has to do something about."""
        now, last = self._clock.now(), self._reminded.get(what)
        if last is None or now - last >= _REMINDERS_APART:
            self._reminded[what] = now
            logger.error("%s", what)
