"""What may a recipient do with a link from his mail? See whose key it is, fetch it, have it sent again.

The link is all he has to show; so nothing is told, and no key leaves, without it. The key package leaves as
it went by mail, locked with a password that this room never shows. Knows neither pages nor statements.
"""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, StrEnum
from typing import Final, Protocol

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from ca.sealing import SealedSecret, Sealer
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.delivery.mobileconfig import (
    ProfileContent,
    ProfileSigner,
    common_name,
    configuration_profile,
)
from directory.delivery.packing import pack
from directory.links import LinkPurpose, PresentedLink
from directory.organization import KeyDelivery, Organization
from directory.resending import KeyMailResender

MOST_DOWNLOADS: Final = 20
"""Through one link. A person has a few devices and tries a few times; whoever has found a link and lets a
program loose on it does not stop by himself."""

KEY_FILE_NAME: Final = "encryption-key.p12"
"""As in the key mail."""

_ACTOR = "recipient"


class Wrapping(StrEnum):
    """What the key package is handed out in."""

    FILE = "file"
    PROFILE = "profile"


class Withheld(Enum):
    """Why a key is not handed out, though the link is genuine."""

    GONE = "gone"  # the service has it no more, or the certificate is served no more
    USED_UP = "used_up"  # it has been fetched too often through this link


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Whose link it is, and how his enrolment stands."""

    link_id: str
    expires_at: datetime
    enrolment_id: str
    organization: Organization
    mailbox: Mailbox
    language: str
    package_format: KeyPackageFormat
    """The one that was mailed, or would be."""
    certificate: bytes
    chain: tuple[bytes, ...]
    """DER of the issuing certificate, then of its issuers up to the root."""
    live: bool
    """Whether the certificate is served; the key of one that is not is handed out no more."""
    proven: bool
    sealed_key: SealedSecret | None = field(repr=False)
    sealed_password: SealedSecret | None = field(repr=False)
    """None once they have been destroyed."""

    @property
    def has_key(self) -> bool:
        """Whether the key package can be had."""
        return self.live and self.sealed_key is not None and self.sealed_password is not None

    @property
    def other_format(self) -> KeyPackageFormat:
        """The format for devices that call the password of the first one wrong."""
        return next(other for other in KeyPackageFormat if other is not self.package_format)

    @property
    def is_mailed(self) -> bool:
        """Whether the key package goes by mail, besides being fetched here."""
        return self.organization.correspondence.key_delivery is not KeyDelivery.LINK

    @property
    def authority(self) -> str:
        """The name under which devices show the root."""
        return common_name(self.chain[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileWords:
    """What a device says about the profile, in the recipient's language."""

    organization: str
    title: str
    description: str


class RecipientStore(Protocol):
    """Where links lead, and where it is noted what was fetched."""

    async def linked(self, presented: PresentedLink, purpose: LinkPurpose, now: datetime) -> Recipient | None:
        """Return whose link it is; None if it is unknown, wrong, expired or for another purpose."""
        ...

    async def record_download(self, link_id: str, event: AuditEvent, *, most: int) -> bool:
        """Count one more download, with its event, in one durable transaction.

        False if there were `most` already; nothing was recorded then.
        """
        ...


class RecipientDesk:
    """Serves whoever has a link."""

    def __init__(
        self,
        *,
        store: RecipientStore,
        sealer: Sealer,
        resender: KeyMailResender,
        clock: Clock,
        signer: ProfileSigner | None = None,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._resender = resender
        self._clock = clock
        self._signer = signer

    async def recipient(self, presented: PresentedLink, purpose: LinkPurpose) -> Recipient | None:
        """Return whose link it is; None if it does not lead to anybody, for whatever reason.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        return await self._store.linked(presented, purpose, self._clock.now())

    async def key_package(self, recipient: Recipient, package_format: KeyPackageFormat) -> bytes | Withheld:
        """Return the key package; its audit event is durable before it leaves.

        Raises:
            SealBroken: key or password do not open.
            StoreUnavailable: the database does not answer; nothing is handed out.
        """
        withheld = await self._withheld(recipient, package_format, Wrapping.FILE)
        if withheld is not None:
            return withheld
        return await asyncio.to_thread(self._packed, recipient, package_format)

    async def profile(
        self, recipient: Recipient, package_format: KeyPackageFormat, words: ProfileWords
    ) -> bytes | Withheld:
        """Return the key package within a configuration profile, signed if there is something to sign with.

        Raises:
            SealBroken, StoreUnavailable: as `key_package`.
        """
        withheld = await self._withheld(recipient, package_format, Wrapping.PROFILE)
        if withheld is not None:
            return withheld
        return await asyncio.to_thread(self._profile, recipient, package_format, words)

    async def send_in_other_format(self, recipient: Recipient) -> None:
        """Queue the key mail again, in the other format; it counts against the budget of key mails.

        Raises:
            ResendRefused: the key is gone, a mail is under way, or the budget is spent.
            StoreUnavailable: the database does not answer; nothing was queued.
        """
        await self._resender.resend(recipient.enrolment_id, recipient.other_format, _ACTOR)

    async def _withheld(
        self, recipient: Recipient, package_format: KeyPackageFormat, wrapping: Wrapping
    ) -> Withheld | None:
        """Record the download; or return why there is none."""
        if not recipient.has_key:
            return Withheld.GONE
        event = AuditEvent(
            kind=AuditKind.KEY_PACKAGE_DOWNLOADED,
            at=self._clock.now(),
            actor=_ACTOR,
            subject=recipient.enrolment_id,
            organization_id=recipient.organization.organization_id,
            detail={"format": package_format.value, "as": wrapping.value},
        )
        recorded = await self._store.record_download(recipient.link_id, event, most=MOST_DOWNLOADS)
        return None if recorded else Withheld.USED_UP

    def _packed(self, recipient: Recipient, package_format: KeyPackageFormat) -> bytes:
        return pack(replace(recipient, package_format=package_format), self._sealer)

    def _profile(self, recipient: Recipient, package_format: KeyPackageFormat, words: ProfileWords) -> bytes:
        profile = configuration_profile(
            ProfileContent(
                enrolment_id=recipient.enrolment_id,
                identifier=".".join(reversed(recipient.organization.mail_from.domain.split("."))),
                organization=words.organization,
                title=words.title,
                description=words.description,
                key_package=self._packed(recipient, package_format),
                key_title=str(recipient.mailbox),
                key_file_name=KEY_FILE_NAME,
                chain=recipient.chain,
            )
        )
        return profile if self._signer is None else self._signer.sign(profile)
