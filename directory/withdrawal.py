"""What becomes of the key of a request that no certificate will come for? It is given up, then destroyed.

In that order: the request is forgotten in the transaction that writes its key's place down as spare. Until
then its certificate may still be taken in; from then on it may not, and the key is nobody's. So no key is
destroyed that an issuing CA has come to sign with, and none is left behind: what is not destroyed at once,
since the token is away or the process ends, any service destroys later (`directory/sparekeys.py`).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ca.errors import CaError
from ca.pkcs11 import TokenKey
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import ConfigurationRefused, Unknown
from directory.issuers import find
from directory.issuing_ports import PendingIssuer


class WithdrawalStore(Protocol):
    """Keeps what is to become an issuer; each change is one durable transaction with its events."""

    async def pending(self) -> Sequence[PendingIssuer]:
        """Return what waits for a certificate."""
        ...

    async def withdraw(
        self, pending: PendingIssuer, events: Sequence[AuditEvent], *, destroy_from: datetime
    ) -> None:
        """Forget a request, and with it its key; the place of one in a token is written down as spare.

        Raises:
            Unknown: it does not wait.
        """
        ...


class SparePlaces(Protocol):
    """Remembers which keys in a token are nobody's."""

    async def gone(
        self, place: TokenKey, event_if: Callable[[bool], AuditEvent], *, was_destroyed: bool
    ) -> None:
        """Forget one that is not in the token any more, and write the event; unless another process has.

        It was there if it was destroyed now, or another process has found it.
        """
        ...


class DestroyedKeys(Protocol):
    """Where keys are destroyed."""

    def destroy(self, place: TokenKey) -> bool:
        """Destroy a key in a token; tell whether there was one; takes a while.

        Raises:
            CaError: the token is not here, or does not do so.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """A request that is none any more."""

    request: PendingIssuer
    put_off: CaError | None
    """What keeps its key from being destroyed yet; None if it is."""


class WithdrawalDesk:
    """An operator who gives requests up."""

    def __init__(
        self, *, store: WithdrawalStore, spare: SparePlaces, keys: DestroyedKeys, clock: Clock, actor: str
    ) -> None:
        self._store = store
        self._spare = spare
        self._keys = keys
        self._clock = clock
        self._actor = actor

    async def withdraw(self, issuer_id: str) -> Withdrawn:
        """Give up a request, and destroy its key: at once, or when its token is back.

        Raises:
            Unknown: there is no such request.
            ConfigurationRefused: somebody else was faster; nothing was destroyed.
        """
        waiting = await self._store.pending()
        pending = find(waiting, issuer_id, key=lambda one: one.issuer_id, kind="request")
        now = self._clock.now()
        try:
            await self._store.withdraw(pending, self._events(pending, now), destroy_from=now)
        except Unknown as error:
            raise too_late("ID", pending) from error
        if pending.token_key is None:
            return Withdrawn(request=pending, put_off=None)
        try:
            there_was_one = await asyncio.to_thread(self._keys.destroy, pending.token_key)
        except CaError as error:
            return Withdrawn(request=pending, put_off=error)
        place, gone_at = pending.token_key, self._clock.now()

        def event_if(was_there: bool) -> AuditEvent:  # noqa: FBT001 - as the store asks
            return key_destroyed(issuer_id, place, gone_at, self._actor, there_was_one=was_there)

        await self._spare.gone(place, event_if, was_destroyed=there_was_one)
        return Withdrawn(request=pending, put_off=None)

    def _events(self, pending: PendingIssuer, now: datetime) -> Sequence[AuditEvent]:
        def event(kind: AuditKind, **detail: str) -> AuditEvent:
            return AuditEvent(kind=kind, at=now, actor=self._actor, subject=pending.issuer_id, detail=detail)

        withdrawn = event(AuditKind.ISSUER_REQUEST_WITHDRAWN, name=pending.subject)
        if pending.token_key is not None:
            return (withdrawn,)
        return withdrawn, event(AuditKind.ISSUER_KEY_DESTROYED, reason="withdrawn")


def key_destroyed(
    issuer_id: str, place: TokenKey, at: datetime, actor: str, *, there_was_one: bool
) -> AuditEvent:
    """Tell that the key of a withdrawn request is not in its token any more.

    It is told in any case: of a process that ended after it had destroyed it nobody else would.
    """
    return AuditEvent(
        kind=AuditKind.ISSUER_KEY_DESTROYED,
        at=at,
        actor=actor,
        subject=issuer_id,
        detail={
            "reason": "withdrawn",
            "token": place.token,
            "token_key": place.key_id,
            "found": "yes" if there_was_one else "no",
        },
    )


def too_late(argument: str, pending: PendingIssuer) -> ConfigurationRefused:
    """Return the refusal for whoever has read a request that does not wait any more when he acts."""
    return ConfigurationRefused(
        key=argument,
        reason=f"request {pending.issuer_id} does not wait any more: its certificate was taken in"
        " meanwhile, or it was withdrawn",
        remedy="see pushpki ca list; nothing was changed",
    )
