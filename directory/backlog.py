"""What is waiting? Key mails, passwords to be passed on, certificates to be renewed, keys to be used."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ca.keys import KeyAlgorithm


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What the whole service, on every node, has still to do."""

    mails: int
    """Key mails that are still to be taken by a smart host."""
    oldest_mail_from: datetime | None
    """When the oldest of them was queued."""
    relays: int
    """Passwords that wait for a registration agent, or were revealed and not yet reported on."""
    pooled_keys: Mapping[KeyAlgorithm, int]
    """Key pairs that wait, stored, to be used; algorithms without any are left out."""
    renewals: int
    """Certificates that are to be renewed by now."""
    late_renewals: int
    """Those of them that another should go before by now."""


class BacklogReader(Protocol):
    """Knows it."""

    async def backlog(self) -> Backlog:
        """Count what waits.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...
