"""What is waiting to be done? Key mails that nobody has taken, passwords that nobody has passed on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What the whole service, on every node, has still to do."""

    mails: int
    """Key mails that are still to be taken by a smart host."""
    oldest_mail_from: datetime | None
    """When the oldest of them was queued."""
    relays: int
    """Passwords that wait for a registration agent, or were revealed and not yet reported on."""


class BacklogReader(Protocol):
    """Knows it."""

    async def backlog(self) -> Backlog:
        """Count what waits.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...
