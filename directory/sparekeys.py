"""Which keys in a token does nobody sign with any more? They are destroyed there, when nobody can need them.

A key pair in a token is no row: it is made before the transaction that makes it somebody's, and outlives the
one in which another takes its place. So its place is written down as spare before it is made, and again when
it is superseded; whoever finds it so after a while destroys it. It is marked before the token is touched:
from then on it is nobody's, and that it was destroyed is told once, whoever ends in between. A token that is
away is cleared later, and nothing is destroyed by a clock that is in doubt.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol, TypeAlias

from ca.errors import SignerUnavailable
from ca.pkcs11 import TokenKey
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.rounds import Rounds, Uniform
from directory.timekeeping import Doubt, never_doubted
from directory.withdrawal import key_destroyed

logger = logging.getLogger(__name__)

POLL: Final = timedelta(minutes=1)
UNCLAIMED_AFTER: Final = timedelta(hours=1)
"""How long after its place was written down a key is nobody's: a token makes none for so long."""
GRACE: Final = timedelta(minutes=15)
"""How long a superseded key is left: every process has taken up the next one by then."""


EventIf: TypeAlias = Callable[[bool], AuditEvent | None]
"""What is put on record of a key that is gone, if it was there, or if it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpareKey:
    """A key in a token that nobody signs with, or that is being made."""

    place: TokenKey
    destroy_from: datetime
    issuer_id: str | None = None
    """The withdrawn request for an issuing CA that it was made for; None: it is a responder's."""


class SpareKeyStore(Protocol):
    """Remembers them."""

    async def spare(self, token: str) -> Sequence[SpareKey]:
        """Return those in a token."""
        ...

    async def release_ended(self, token: str, now: datetime) -> None:
        """Write down the keys of responders that have ended by now."""
        ...

    async def mark(self, place: TokenKey, *, now: datetime, was_found: bool) -> bool:
        """Make one nobody's for ever, and keep whether the token has it; tell whether it may be destroyed.

        It may not if it signs for somebody, or if its time has not come. One that is marked already stays so.
        """
        ...

    async def gone(self, place: TokenKey, event_if: EventIf, *, was_destroyed: bool) -> None:
        """Forget one that is not in the token any more, and write the event; unless another process has.

        It was there if it was found when it was marked, or destroyed now.
        """
        ...


class ClearedToken(Protocol):
    """A token in which keys can be destroyed."""

    @property
    def label(self) -> str:
        """Its name."""
        ...

    @property
    def problem(self) -> SignerUnavailable | None:
        """What keeps it from signing, as last known; None if nothing does."""
        ...

    def has_key(self, key_id: bytes) -> bool:
        """Tell whether it has a private key.

        Raises:
            SignerUnavailable: it does not answer.
        """
        ...

    def destroy(self, key_id: bytes) -> bool:
        """Destroy a key pair; tell whether there was one.

        Raises:
            SignerUnavailable: it could not.
        """
        ...

    def dismiss(self, key_id: bytes) -> None:
        """Miss a key no more, which nobody will sign with again."""
        ...


class SpareKeys:
    """Clears a token of them."""

    def __init__(
        self,
        *,
        store: SpareKeyStore,
        token: ClearedToken,
        clock: Clock,
        uniform: Uniform,
        doubt: Doubt = never_doubted,
    ) -> None:
        self._store = store
        self._token = token
        self._clock = clock
        self._doubt = doubt
        self._said: set[TokenKey] = set()
        self._rounds = Rounds(apart=POLL, failing="spare keys stay in the token", uniform=uniform)

    async def clear(self) -> None:
        """Destroy those whose time has come, if the token is there and the clock is not in doubt.

        One that the token does not destroy keeps no other from it.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        now = self._clock.now()
        if self._doubt() is not None:  # by a clock that is ahead, those that sign seem to have ended
            return
        await self._store.release_ended(self._token.label, now)
        for one in await self._store.spare(self._token.label):
            self._token.dismiss(bytes.fromhex(one.place.key_id))
            if one.destroy_from > now or self._token.problem is not None:
                continue
            try:
                await self._destroy(one, now)
            except SignerUnavailable as error:
                if one.place not in self._said:
                    logger.warning("spare key %s stays in the token for now: %s", one.place.key_id, error)
                self._said.add(one.place)
            else:
                self._said.discard(one.place)

    async def run(self) -> None:
        """Clear it again and again until stopped."""
        await self._rounds.run(self.clear)

    def stop(self) -> None:
        """Let `run` end."""
        self._rounds.stop()

    async def _destroy(self, one: SpareKey, now: datetime) -> None:
        """Destroy one, unless it has become somebody's since it was read.

        1. What the token has is looked for, so that it is known even if this process ends after 3.
        2. It is marked, in a transaction that sees whether somebody signs with it.
        3. It is destroyed. Another process may be at it too, or be first.
        4. It is forgotten, and the event written by whoever does that.

        Raises:
            SignerUnavailable: the token does not answer, or does not destroy it; the mark stays.
            StoreUnavailable: the database does not answer.
        """
        key_id = bytes.fromhex(one.place.key_id)
        was_found = await asyncio.to_thread(self._token.has_key, key_id)
        if not await self._store.mark(one.place, now=now, was_found=was_found):
            return
        was_destroyed = await asyncio.to_thread(self._token.destroy, key_id)
        await self._store.gone(one.place, partial(self._event_if, one, now), was_destroyed=was_destroyed)

    def _event_if(self, one: SpareKey, now: datetime, was_there: bool) -> AuditEvent | None:  # noqa: FBT001 - EventIf
        if one.issuer_id is not None:
            return key_destroyed(one.issuer_id, one.place, now, "service", there_was_one=was_there)
        if not was_there:
            return None
        return AuditEvent(
            kind=AuditKind.OCSP_RESPONDER_KEY_DESTROYED,
            at=now,
            actor="service",
            subject=one.place.key_id,
            detail={"token": one.place.token},
        )
