"""Who may talk to which destination now? A bounded set of sessions each, kept open for the next mail.

One slow or dead destination must not keep the mails for others waiting: whoever waits too long for a session
to it, or comes while it rests after a failure, is told so at once and tries again later.
"""

import asyncio
from asyncio import TimerHandle
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeAlias, TypeVar

from directory.clock import Clock
from directory.delivery.replies import Failure, Permanent, Phase, Transient
from directory.delivery.settings import DeliverySettings
from directory.delivery.smtp import SmtpSession

Account = TypeVar("Account", bound=Hashable)
"""Whose sessions, and to where: they are never shared with another."""

Opened: TypeAlias = SmtpSession | Transient | Permanent

_MOST_RESTING = 1024
"""From how many on those are looked for that have rested enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Idle:
    session: SmtpSession
    expiry: TimerHandle


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rest:
    until: datetime
    failure: Failure


class _Slots:
    """The places of one destination, and how many have or want one."""

    def __init__(self, places: int) -> None:
        self.places = asyncio.Semaphore(places)
        self.interested = 0


class SessionPool(Generic[Account]):
    """Lends sessions, at most so many at a time per destination."""

    def __init__(self, *, clock: Clock, settings: DeliverySettings) -> None:
        self._clock = clock
        self._settings = settings
        self._slots: dict[Hashable, _Slots] = {}
        self._idle: defaultdict[Account, list[_Idle]] = defaultdict(list)
        self._resting: dict[Account, _Rest] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lend(
        self, account: Account, *, destination: Hashable, connect: Callable[[], Awaitable[Opened]]
    ) -> AsyncIterator[Opened]:
        """Lend a session that is at hand, or one newly connected, or say why there is none now."""
        slots = self._slots.setdefault(destination, _Slots(self._settings.connections_per_host))
        slots.interested += 1
        try:
            if (busy := await self._wait_for(slots.places)) is not None:
                yield busy
                return
            try:
                session = await self._obtain(account, connect)
                try:
                    yield session
                finally:
                    if isinstance(session, SmtpSession):
                        self._give_back(account, session)
            finally:
                slots.places.release()
        finally:
            slots.interested -= 1
            if slots.interested == 0:
                self._slots.pop(destination, None)

    async def close(self) -> None:
        """Close every idle session."""
        for sessions in self._idle.values():
            for idle in sessions:
                idle.expiry.cancel()
                self._hang_up(idle.session)
        self._idle.clear()
        await asyncio.gather(*self._closing)

    async def _wait_for(self, places: asyncio.Semaphore) -> Transient | None:
        try:
            async with asyncio.timeout(self._settings.connection_wait.total_seconds()):
                await places.acquire()
        except TimeoutError:
            return Transient(failure=Failure(phase=Phase.WAIT, reason="all connections there are in use"))
        return None

    async def _obtain(self, account: Account, connect: Callable[[], Awaitable[Opened]]) -> Opened:
        rest = self._resting.get(account)
        if rest is not None:
            if self._clock.now() < rest.until:
                return Transient(failure=rest.failure)
            del self._resting[account]
        while self._idle.get(account):
            idle = self._idle[account].pop()
            idle.expiry.cancel()
            # The other side may have hung up meanwhile, which is its right and no failure of the mail.
            if await idle.session.reset():
                return idle.session
        opened = await connect()
        if isinstance(opened, Transient):
            self._let_rest(account, opened.failure)
        return opened

    def _let_rest(self, account: Account, failure: Failure) -> None:
        now = self._clock.now()
        if len(self._resting) >= _MOST_RESTING:
            self._resting = {whose: rest for whose, rest in self._resting.items() if now < rest.until}
        self._resting[account] = _Rest(until=now + self._settings.host_rest, failure=failure)

    def _give_back(self, account: Account, session: SmtpSession) -> None:
        if not session.is_usable:
            self._hang_up(session)
            return
        patience = self._settings.connection_idle.total_seconds()
        expiry = asyncio.get_running_loop().call_later(patience, self._expire, account, session)
        self._idle[account].append(_Idle(session=session, expiry=expiry))

    def _expire(self, account: Account, session: SmtpSession) -> None:
        kept = [idle for idle in self._idle.get(account, ()) if idle.session is not session]
        if kept:
            self._idle[account] = kept
        else:
            self._idle.pop(account, None)
        self._hang_up(session)

    def _hang_up(self, session: SmtpSession) -> None:
        task = asyncio.create_task(session.close(), name="smtp-quit")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
