"""Does the organization's mail arrive? A specimen on the way that its real mails take, marked as a test."""

import asyncio
import secrets
from dataclasses import dataclass
from typing import Protocol

from ca.address import Mailbox
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.delivery.mime import Message
from directory.delivery.previewing import marked_as_test
from directory.delivery.replies import Accepted, Outcome, Permanent, Transient
from directory.delivery.returnpath import return_path
from directory.delivery.smtp import Envelope
from directory.delivery.worker import Carriers, Signer
from directory.errors import MailRefused
from directory.organization import Organization


class Register(Protocol):
    """What has to be asked before a trial, and told after it."""

    async def wants_no_mail(self, recipient: Mailbox) -> bool:
        """Tell whether nobody may write to the address."""
        ...

    async def append(self, event: AuditEvent) -> None:
        """Write an event of the audit log."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Sends test mails, each once; nothing of them is kept but that they were sent."""

    carriers: Carriers
    signer: Signer
    register: Register
    clock: Clock
    actor: str

    async def send(self, organization: Organization, message: Message) -> Outcome:
        """Send the message, marked as a test, and return what became of it.

        Raises:
            MailRefused: its recipient wants no mail.
            SealBroken: the organization's DKIM key or smart-host password does not open.
            StoreUnavailable: the event could not be written; nothing was sent.
        """
        if await self.register.wants_no_mail(message.recipient):
            raise MailRefused(code="mail.suppressed", reason=f"{message.recipient} wants no mail")
        await self.register.append(
            AuditEvent(
                kind=AuditKind.MAIL_TRIED,
                at=self.clock.now(),
                actor=self.actor,
                subject=f"address:{message.recipient.key}",
                organization_id=organization.organization_id,
            )
        )
        octets = await asyncio.to_thread(marked_as_test(message).to_bytes)
        token = secrets.token_hex(16)
        async with self.carriers.session(organization, message.recipient) as session:
            match session:
                case Transient() | Permanent():
                    return session
                case _:
                    return await session.submit(
                        Envelope(
                            envelope_id=token,
                            sender=return_path(organization, token),
                            recipient=message.recipient,
                            message=self.signer.sign(organization, octets),
                        )
                    )


def described(outcome: Outcome) -> dict[str, object]:
    """Return what became of it, for people and programs."""
    match outcome:
        case Accepted(response=response, host=host):
            return {"accepted": True, "host": host, "response": response}
        case Transient(failure=failure):
            return {"accepted": False, "failure": str(failure), "permanent": False}
        case Permanent(failure=failure):
            return {"accepted": False, "failure": str(failure), "permanent": True}
