"""What does an operator do with the issuers that are there? He makes one active, now or at a set moment."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias, TypeVar

from ca.profiles import Purpose
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import ConfigurationRefused, Unknown
from directory.hierarchy import HasKey, Hierarchy, IssuerState, StoredIssuer

_SHORTEST_PREFIX = 6
Found = TypeVar("Found")
KeyTrial: TypeAlias = Callable[[StoredIssuer], None]
"""Lets the key of an issuer sign a trial, and checks it by the certificate; takes a while."""


class IssuerRegister(Protocol):
    """Keeps the issuers; each change is one durable transaction with its audit event."""

    async def hierarchy(self) -> Hierarchy:
        """Return all of them."""
        ...

    async def activate(self, issuer_id: str, at: datetime, event: AuditEvent) -> None:
        """Let an issuer certify recipients from that moment on.

        Raises:
            Unknown: there is none of that identifier that was not revoked.
        """
        ...


class IssuerDesk:
    """An operator at the issuers."""

    def __init__(
        self, *, register: IssuerRegister, has_key: HasKey, try_key: KeyTrial, clock: Clock, actor: str
    ) -> None:
        self._register = register
        self._has_key = has_key
        self._try_key = try_key
        self._clock = clock
        self._actor = actor

    async def activate(self, issuer_id: str, at: datetime | None, *, validity: timedelta) -> StoredIssuer:
        """Let an issuing CA certify from a moment on, by default this one, whoever did before.

        `validity` is how long recipients' certificates live: it must be able to certify one at all. A key
        in a token has to sign a trial before: else every mint would be put off from then on.

        Raises:
            Unknown: there is no such issuer.
            ConfigurationRefused: it cannot certify recipients, or not from that moment on.
            CaError: its token is away, does not hold its key, or signs with another one.
        """
        now = self._clock.now()
        issuer = find_issuer(await self._register.hierarchy(), issuer_id)
        moment = now if at is None else at
        if (problem := self._problem(issuer, now)) is not None:
            raise ConfigurationRefused(key="ID", reason=f"issuer {issuer.issuer_id} {problem}")
        if moment < now:
            raise ConfigurationRefused(
                key="--at", reason=f"{moment:%Y-%m-%d %H:%M} UTC is past", remedy="leave it out for now"
            )
        if not issuer.not_before <= moment <= issuer.not_after - validity:
            raise ConfigurationRefused(
                key="--at" if at else "ID",
                reason=f"issuer {issuer.issuer_id} is valid from {issuer.not_before:%Y-%m-%d} to "
                f"{issuer.not_after:%Y-%m-%d}, which leaves no room for {validity.days} days",
                remedy="see ca.validity_days, or make a new issuing CA",
            )
        if issuer.token_key is not None:
            await asyncio.to_thread(self._try_key, issuer)
        event = AuditEvent(
            kind=AuditKind.ISSUER_ACTIVATED,
            at=now,
            actor=self._actor,
            subject=issuer.issuer_id,
            detail={"active_from": moment.isoformat()},
        )
        await self._register.activate(issuer.issuer_id, moment, event)
        return issuer

    def _problem(self, issuer: StoredIssuer, now: datetime) -> str | None:
        if issuer.purpose is not Purpose.ISSUING_CA:
            return "is no issuing CA"
        if (ended := issuer.ended(now)) is not None:
            return "was revoked" if ended is IssuerState.REVOKED else "has expired"
        return None if self._has_key(issuer) else "has its key elsewhere"


def find(
    among: Iterable[Found], issuer_id: str, *, key: Callable[[Found], str], kind: str = "issuer"
) -> Found:
    """Return the one of that identifier, or of one that begins like this if it is the only one.

    Raises:
        Unknown: there is none, or several.
    """
    sought, every = issuer_id.lower(), list(among)
    found = [one for one in every if key(one) == sought]
    if not found and len(sought) >= _SHORTEST_PREFIX:
        found = [one for one in every if key(one).startswith(sought)]
    if len(found) != 1:
        raise Unknown(kind=kind, name=issuer_id)
    return found[0]


def find_issuer(hierarchy: Hierarchy, issuer_id: str) -> StoredIssuer:
    """Return the issuer of that identifier, likewise.

    Raises:
        Unknown: there is none, or several.
    """
    return find(hierarchy.issuers, issuer_id, key=lambda one: one.issuer_id)
