"""Can whoever certifies go on for long enough, and who comes after him?

A recipient's certificate must not outlive its issuer, so an issuing CA certifies until so long before its own
end. Where somebody wants it, and the root's key is here, the next one is made beforehand, like the one
before: of the same kind of key, for the same organization, with the same constraints.
"""

import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final, Protocol

from ca.errors import CaError
from directory.clock import Clock
from directory.errors import DirectoryError, StoreUnavailable
from directory.hierarchy import Hierarchy, StoredIssuer
from directory.rounds import Rounds, Uniform
from directory.timekeeping import Doubt

logger = logging.getLogger(__name__)

POLL: Final = timedelta(minutes=10)
NOTICE: Final = timedelta(days=30)
"""How long before an issuing CA cannot certify any more it is said that nobody comes after it."""


def certifies_until(issuer: StoredIssuer, validity: timedelta) -> datetime:
    """Return until when an issuing CA can certify for so long."""
    return issuer.not_after - validity


def without_successor(
    hierarchy: Hierarchy, validity: timedelta, now: datetime, *, notice: timedelta = NOTICE
) -> Collection[StoredIssuer]:
    """Return whoever certifies now, cannot when the time of notice has passed, and has no successor."""
    return [
        issuer
        for issuer in hierarchy.signers(now)
        if hierarchy.signer(issuer.scope, now) is issuer
        and (end := certifies_until(issuer, validity)) - now < notice
        and not _succeeds(hierarchy.signer(issuer.scope, max(end, now)), validity, max(end, now))
    ]


def _succeeds(successor: StoredIssuer | None, validity: timedelta, moment: datetime) -> bool:
    return successor is not None and certifies_until(successor, validity) > moment


class SuccessorWorkshop(Protocol):
    """Makes issuing CAs that follow others."""

    async def hierarchy(self) -> Hierarchy:
        """Return every issuer."""
        ...

    async def succeed(self, former: StoredIssuer, active_from: datetime) -> StoredIssuer | None:
        """Make the one that follows another; None if somebody else has done so meanwhile.

        Raises:
            CaError, ConfigurationRefused: no root's key is here, or it cannot certify.
        """
        ...


class Succession:
    """Makes the next issuing CAs in time."""

    def __init__(
        self,
        *,
        workshop: SuccessorWorkshop,
        validity: timedelta,
        before: timedelta,
        doubt: Doubt,
        clock: Clock,
        uniform: Uniform,
    ) -> None:
        self._workshop = workshop
        self._validity = validity
        self._before = before
        self._doubt = doubt
        self._clock = clock
        self._rounds = Rounds(apart=POLL, failing="successors have to wait", uniform=uniform)

    async def look(self) -> None:
        """Make whoever is due.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        if self._doubt() is not None:
            return
        now = self._clock.now()
        hierarchy = await self._workshop.hierarchy()
        for former in without_successor(hierarchy, self._validity, now, notice=self._before):
            # A day before the last moment: whoever is asked then is still given a full period.
            moment = max(now, certifies_until(former, self._validity) - timedelta(days=1))
            try:
                made = await self._workshop.succeed(former, moment)
            except StoreUnavailable:
                raise
            except (CaError, DirectoryError) as error:
                logger.error("issuer %s gets no successor: %s", former.issuer_id, error)  # noqa: TRY400 - it says all
                continue
            if made is not None:
                said = "issuer %s will follow %s on %s"
                logger.info(said, made.issuer_id, former.issuer_id, moment.isoformat())

    async def run(self) -> None:
        """Look again and again until stopped; what fails is tried again next time."""
        await self._rounds.attempt(self.look)
        await self._rounds.run(self.look)

    def stop(self) -> None:
        """Let `run` end."""
        self._rounds.stop()
