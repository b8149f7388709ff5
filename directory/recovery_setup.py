"""What does the recovery of keys stand on? Certificates to escrow to, and people who hold shares."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ca.address import Mailbox
from ca.escrow import RecoveryCertificate
from directory.administration import check_name
from directory.audit import AuditEvent, AuditKind
from directory.callers import RecoveryAgent
from directory.clock import Clock
from directory.errors import ConfigurationRefused, Unknown
from directory.tokens import IssuedToken, TokenKind, issue_token

_SHORTEST_PREFIX = 8
"""Of a fingerprint, in hexadecimal digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRecoveryCertificate:
    """A recovery certificate in a list."""

    certificate: RecoveryCertificate
    added_at: datetime
    active: bool
    escrowed: int
    """How many keys are escrowed to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRecoveryAgent:
    """A recovery agent in a list."""

    agent: RecoveryAgent
    created_at: datetime
    removed_at: datetime | None


class RecoveryRegister(Protocol):
    """Keeps them; each change is one durable transaction with its audit event."""

    async def add_certificate(self, certificate: RecoveryCertificate, event: AuditEvent) -> None:
        """Add a certificate, which is not active yet.

        Raises:
            AlreadyExists: it is there, or its key is a recipient's.
        """
        ...

    async def activate_certificate(self, certificate_id: str, event: AuditEvent) -> None:
        """Let keys be escrowed to this certificate from now on, and to no other.

        Raises:
            Unknown: there is none of this fingerprint.
        """
        ...

    async def certificates(self) -> Sequence[ListedRecoveryCertificate]:
        """Return all certificates, the oldest first."""
        ...

    async def add_agent(
        self, agent: RecoveryAgent, *, token_id: str, token_digest: bytes, event: AuditEvent
    ) -> None:
        """Add a recovery agent.

        Raises:
            AlreadyExists: there is one of that name.
        """
        ...

    async def remove_agent(self, name: str, event: AuditEvent) -> None:
        """Take a recovery agent's rights away, and what he has approved with them.

        Raises:
            Unknown: there is none of that name.
        """
        ...

    async def agents(self) -> Sequence[ListedRecoveryAgent]:
        """Return all recovery agents by name, removed ones too."""
        ...


class RecoverySetup:
    """An operator at work."""

    def __init__(self, *, register: RecoveryRegister, clock: Clock, actor: str) -> None:
        self._register = register
        self._clock = clock
        self._actor = actor

    async def add_certificate(self, certificate: RecoveryCertificate) -> None:
        """Add a certificate that keys may be escrowed to once it is activated.

        Raises:
            ConfigurationRefused: it is not valid now.
            AlreadyExists: it is there, or its key is a recipient's.
        """
        self._refuse_invalid(certificate)
        event = self._event(AuditKind.RECOVERY_CERTIFICATE_ADDED, certificate.fingerprint)
        await self._register.add_certificate(certificate, event)

    async def activate_certificate(self, fingerprint: str) -> ListedRecoveryCertificate:
        """Escrow to this certificate from now on; what is escrowed to others stays recoverable as it is.

        The fingerprint, or the beginning of it, of at least 8 digits.

        Raises:
            Unknown: no certificate, or more than one, has a fingerprint that begins like this.
            ConfigurationRefused: it is not valid now.
        """
        wanted = fingerprint.lower()
        found = [
            one
            for one in await self._register.certificates()
            if len(wanted) >= _SHORTEST_PREFIX and one.certificate.fingerprint.startswith(wanted)
        ]
        if len(found) != 1:
            raise Unknown(kind="recovery certificate", name=fingerprint)
        (listed,) = found
        self._refuse_invalid(listed.certificate)
        certificate_id = listed.certificate.fingerprint
        event = self._event(AuditKind.RECOVERY_CERTIFICATE_ACTIVATED, certificate_id)
        await self._register.activate_certificate(certificate_id, event)
        return listed

    async def add_agent(
        self, name: str, email: Mailbox, *, certificate_sha256: bytes | None = None
    ) -> IssuedToken:
        """Add a recovery agent; return the token, which is stored nowhere.

        Raises:
            ConfigurationRefused: the name is not acceptable.
            AlreadyExists: there is one of that name.
        """
        check_name("name", name)
        agent = RecoveryAgent(
            agent_id=secrets.token_hex(16),
            name=name,
            email=email.key,
            person=email.base_key,
            certificate_sha256=certificate_sha256,
        )
        token = issue_token(TokenKind.RECOVERY_AGENT)
        event = self._event(AuditKind.RECOVERY_AGENT_ADDED, name, agent_id=agent.agent_id, email=agent.email)
        await self._register.add_agent(agent, token_id=token.token_id, token_digest=token.digest, event=event)
        return token

    async def remove_agent(self, name: str) -> None:
        """Take a recovery agent's rights away; what he has approved and is not fetched yet counts no more.

        Raises:
            Unknown: there is none of that name.
        """
        await self._register.remove_agent(name, self._event(AuditKind.RECOVERY_AGENT_REMOVED, name))

    async def certificates(self) -> Sequence[ListedRecoveryCertificate]:
        """Return all certificates, the oldest first."""
        return await self._register.certificates()

    async def agents(self) -> Sequence[ListedRecoveryAgent]:
        """Return all recovery agents by name, removed ones too."""
        return await self._register.agents()

    def _refuse_invalid(self, certificate: RecoveryCertificate) -> None:
        if not certificate.is_valid_at(self._clock.now()):
            raise ConfigurationRefused(
                key="recovery certificate",
                reason=f"{certificate.fingerprint[:16]}… is not valid now",
                remedy="make another with 'pushpki recovery certificate create'",
            )

    def _event(self, kind: AuditKind, subject: str, **detail: str) -> AuditEvent:
        return AuditEvent(kind=kind, at=self._clock.now(), actor=self._actor, subject=subject, detail=detail)
