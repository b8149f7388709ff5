"""Where does an enrolment stand? What its organization may see of it; no secret among it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from directory.cursors import Cursor
from directory.delivery.outbox import DeliveryState
from directory.relay import PasswordChannel, RelayState


class KeyState(StrEnum):
    """What has become of the service's copy of the private key."""

    HELD = "held"
    DESTROYED = "destroyed"
    ESCROWED = "escrowed"


class Place(StrEnum):
    """Where a live enrolment stands among those of its address: at most one leads, and at most one waits."""

    LEADING = "leading"  # its certificate is the first that is served
    WAITING = "waiting"  # it renews the one that leads, and takes its place later
    OVERTAKEN = "overtaken"  # another took its place; its certificate is served behind that until it expires


class ChannelState(StrEnum):
    """Where a channel stands that brings the organization the password."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    OBSOLETE = "obsolete"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStatus:
    """One delivery of the password to the organization."""

    channel: PasswordChannel
    state: ChannelState
    attempts: int
    last_failure: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentStatus:
    """One enrolment, seen by its organization."""

    enrolment_id: str
    mailbox: Mailbox
    serial: int
    minted_at: datetime
    not_after: datetime
    live: bool
    key: KeyState
    package_format: KeyPackageFormat
    """In which the key package was sent last, or is about to be."""
    delivery: DeliveryState
    delivery_attempts: int
    last_failure: str | None
    accepted_at: datetime | None
    relay: RelayState
    revealed_at: datetime | None
    closed_at: datetime | None
    expires_at: datetime
    """When a password that nobody has is destroyed."""
    released_through: PasswordChannel | None
    channels: tuple[ChannelStatus, ...] = ()
    """Webhook and mail, the oldest first; agents come and ask."""
    place: Place = Place.LEADING
    renews: str | None = None
    """The enrolment whose certificate it renews."""
    renewed_by: str | None = None
    """The enrolment whose certificate renews this one, if that did not come to nothing."""

    @property
    def cursor(self) -> Cursor:
        """Its place in the list of those that somebody has to see to."""
        rank = 0 if self.relay is RelayState.WAITING else 1
        return Cursor(rank=rank, moment=self.minted_at, record_id=self.enrolment_id)


class EnrolmentReader(Protocol):
    """Reads enrolments."""

    async def enrolment(self, enrolment_id: str, organization_id: str) -> EnrolmentStatus:
        """Return the organization's enrolment.

        Raises:
            Unknown: there is none, or it is another organization's.
        """
        ...

    async def awaiting_relay(
        self, organization_id: str, *, after: Cursor | None, most: int
    ) -> Sequence[EnrolmentStatus]:
        """Return the organization's enrolments that somebody has to see to, from behind a place in that list.

        Those whose password nobody has seen yet, then those whose relay is open, or whose key mail was given
        up and no operator has looked; the oldest first.
        """
        ...
