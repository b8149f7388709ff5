"""Is the token there that signs? It is looked for while it is away; that it went, or is back, is said once.

Whoever wants a signature meanwhile is refused at once and asks nobody; so this is what finds the token again.
"""

import asyncio
import logging
from datetime import timedelta
from typing import Final, Protocol

from ca.errors import SignerUnavailable
from directory.rounds import Rounds

logger = logging.getLogger(__name__)

POLL: Final = timedelta(seconds=2)
"""How often an absent token is looked for: so long after its return, and a login, it signs again."""


class WatchedToken(Protocol):
    """A token that may be away."""

    @property
    def label(self) -> str:
        """Its name."""
        ...

    @property
    def problem(self) -> SignerUnavailable | None:
        """What keeps it from signing, as last known; None if nothing does."""
        ...

    def check(self) -> SignerUnavailable | None:
        """Find out whether it is in order, and put it so if possible; takes its time, in a thread."""
        ...


class SignerWatch:
    """Looks after one token."""

    def __init__(self, token: WatchedToken) -> None:
        self._token = token
        self._rounds = Rounds(apart=POLL, failing="the token is not looked for")
        self._said: str | None = None

    async def look(self) -> None:
        """Find the token if it is away; say in the log what has changed, however short it was."""
        self._say(self._token.problem)
        self._say(await asyncio.to_thread(self._token.check))

    async def run(self) -> None:
        """Look again and again until stopped."""
        await self._rounds.run(self.look)

    def stop(self) -> None:
        """Let `run` end."""
        self._rounds.stop()

    def _say(self, found: SignerUnavailable | None) -> None:
        said = None if found is None else found.reason
        if said == self._said:
            return
        self._said = said
        if said is None:
            logger.info("token %s signs again", self._token.label)
        else:
            logger.error(
                "token %s %s: nothing is minted until it signs again, what there is is served",
                self._token.label,
                said,
            )
