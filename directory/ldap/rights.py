"""Who keeps the rights that his login gave him? Looks again and again whether credentials are still good.

A lookup decides by what is stored at that moment. This is for everything else that a login has given: a
gateway that was disabled, or whose token or certificate was taken away, must not keep a session in its name.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Protocol

from directory.callers import Credential, Gateway
from directory.faults import log_failure

StillGood = Callable[[Collection[Credential]], Awaitable[Mapping[Credential, Gateway]]]
"""Returns what the gateway of each good credential is now: `Authentication.still_good`."""


class LoggedIn(Protocol):
    """A connection, seen from here."""

    @property
    def credential(self) -> Credential | None:
        """By what its client has authenticated; None for nobody."""
        ...

    def revise(self, gateway: Gateway | None) -> None:
        """Take notice of what the gateway is now; None if the credential is good no more."""
        ...


async def watch_rights(
    connections: Callable[[], Iterable[LoggedIn]], still_good: StillGood, *, every: float
) -> None:
    """Look at the credentials of all who are logged in, at this interval in seconds, until cancelled.

    While that cannot be found out, nobody's session is ended for it: without the database nothing can be
    asked either, and what was disabled meanwhile is found out as soon as it is back.
    """
    while True:
        await asyncio.sleep(every)
        try:
            await _look(connections, still_good)
        except Exception as error:  # noqa: BLE001 - a top loop; it must outlive every fault
            log_failure("a look at the rights of who is logged in", error)


async def _look(connections: Callable[[], Iterable[LoggedIn]], still_good: StillGood) -> None:
    shown = {connection.credential for connection in connections()} - {None}
    credentials = frozenset(credential for credential in shown if credential is not None)
    if not credentials:
        return
    good = await still_good(credentials)
    for connection in connections():
        credential = connection.credential
        if credential in credentials:
            connection.revise(good.get(credential))
