"""What does an operator add and take away? Organizations, their gateways and registration agents."""

import re
import secrets
from collections.abc import Callable
from typing import Protocol

from ca.address import Mailbox
from directory.audit import AuditEvent, AuditKind
from directory.callers import Agent, Gateway
from directory.clock import Clock
from directory.errors import ConfigurationRefused
from directory.organization import Organization
from directory.tokens import IssuedToken, TokenKind, issue_token

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_LONGEST_TEXT = 200
_LONGEST_SHOWN = 40


class OrganizationRegister(Protocol):
    """Keeps organizations; each change is one durable transaction with its audit event."""

    async def add(self, organization: Organization, event: AuditEvent) -> None:
        """Add an organization with its domains, as of the event.

        Raises:
            AlreadyExists: its slug or one of its domains is taken.
        """
        ...

    async def change(self, organization: Organization, event: AuditEvent) -> None:
        """Store an organization as it is now; its identifier and slug stay.

        Raises:
            Unknown: there is none of that identifier.
            AlreadyExists: one of its domains is another organization's.
        """
        ...

    async def by_slug(self, slug: str) -> Organization:
        """Return the organization.

        Raises:
            Unknown: there is none of that slug.
        """
        ...


class CallerRegister(Protocol):
    """Keeps gateways and registration agents; each change is one transaction with its audit event."""

    async def add_gateway(
        self, gateway: Gateway, *, token_id: str, token_digest: bytes, event: AuditEvent
    ) -> None:
        """Add a gateway, as of the event.

        Raises:
            AlreadyExists: its name is taken.
        """
        ...

    async def add_agent(self, agent: Agent, *, token_id: str, token_digest: bytes, event: AuditEvent) -> None:
        """Add a registration agent, as of the event.

        Raises:
            AlreadyExists: the organization has this agent already.
        """
        ...

    async def set_gateway_certificate(
        self, name: str, organization_id: str, sha256: bytes | None, event: AuditEvent
    ) -> None:
        """Let the gateway authenticate by this certificate too, and by no other; by none if None.

        Raises:
            Unknown: the organization has no such gateway, or it is disabled.
            AlreadyExists: the certificate is another gateway's.
        """
        ...

    async def disable_gateway(self, name: str, organization_id: str, event: AuditEvent) -> None:
        """Take a gateway's rights away, as of the event, for good.

        Raises:
            Unknown: the organization has no such gateway, or it is disabled already.
        """
        ...

    async def disable_agent(self, email: str, organization_id: str, event: AuditEvent) -> None:
        """Take an agent's rights away, as of the event, for good.

        Raises:
            Unknown: the organization has no such agent, or he is disabled already.
        """
        ...


class Administration:
    """An operator at work.

    In the audit log whatever he adds and takes away is called by the name he uses: a gateway's or slug is
    never given twice, and an agent's address names one person.
    """

    def __init__(
        self, *, organizations: OrganizationRegister, callers: CallerRegister, clock: Clock, actor: str
    ) -> None:
        self._organizations = organizations
        self._callers = callers
        self._clock = clock
        self._actor = actor

    async def add_organization(self, organization: Organization) -> None:
        """Add an organization.

        Raises:
            ConfigurationRefused: slug, name, contact or sender is not acceptable.
            AlreadyExists: the slug or one of the domains is taken.
        """
        check_name("slug", organization.slug)
        _check_organization(organization)
        event = self._event(
            AuditKind.ORGANIZATION_ADDED,
            organization.slug,
            organization.organization_id,
            slug=organization.slug,
        )
        await self._organizations.add(organization, event)

    async def change_organization(
        self, slug: str, change: Callable[[Organization], Organization], *, changed: str
    ) -> Organization:
        """Change an organization; `changed` names what, for the audit log. Return it as it is then.

        Raises:
            ConfigurationRefused: what it would become is not acceptable.
            Unknown: there is no such organization.
            AlreadyExists: one of its domains is another organization's.
        """
        organization = change(await self._organizations.by_slug(slug))
        _check_organization(organization)
        event = self._event(
            AuditKind.ORGANIZATION_CHANGED, slug, organization.organization_id, changed=changed
        )
        await self._organizations.change(organization, event)
        return organization

    async def add_gateway(self, name: str, slug: str, *, may_mint: bool) -> IssuedToken:
        """Add a gateway to an organization; return its token, which is stored nowhere.

        Raises:
            ConfigurationRefused: the name is not acceptable.
            Unknown: there is no such organization.
            AlreadyExists: the name is taken.
        """
        check_name("name", name)
        organization = await self._organizations.by_slug(slug)
        gateway = Gateway(
            gateway_id=secrets.token_hex(16),
            name=name,
            organization_id=organization.organization_id,
            scope=organization.scope,
            may_mint=may_mint,
        )
        token = issue_token(TokenKind.GATEWAY)
        event = self._event(
            AuditKind.GATEWAY_ADDED, name, gateway.organization_id, gateway_id=gateway.gateway_id
        )
        await self._callers.add_gateway(
            gateway, token_id=token.token_id, token_digest=token.digest, event=event
        )
        return token

    async def add_agent(self, email: Mailbox, slug: str) -> IssuedToken:
        """Add a registration agent to an organization; return the token, which is stored nowhere.

        Raises:
            Unknown: there is no such organization.
            AlreadyExists: the organization has this agent already.
        """
        organization = await self._organizations.by_slug(slug)
        agent = Agent(
            agent_id=secrets.token_hex(16), email=email.key, organization_id=organization.organization_id
        )
        token = issue_token(TokenKind.AGENT)
        event = self._event(
            AuditKind.AGENT_ADDED, agent.email, agent.organization_id, agent_id=agent.agent_id
        )
        await self._callers.add_agent(agent, token_id=token.token_id, token_digest=token.digest, event=event)
        return token

    async def set_gateway_certificate(self, name: str, slug: str, sha256: bytes) -> None:
        """Let a gateway authenticate by the TLS certificate with this digest, besides its token.

        The one it had before is good no more; effective within seconds, on open connections too.

        Raises:
            Unknown: there is no such organization or gateway, or the gateway is disabled.
            AlreadyExists: the certificate is another gateway's.
        """
        await self._change_certificate(name, slug, sha256)

    async def remove_gateway_certificate(self, name: str, slug: str) -> None:
        """Let a gateway authenticate by its token only; effective within seconds, on open connections too.

        Raises:
            Unknown: there is no such organization or gateway, or the gateway is disabled.
        """
        await self._change_certificate(name, slug, None)

    async def _change_certificate(self, name: str, slug: str, sha256: bytes | None) -> None:
        organization = await self._organizations.by_slug(slug)
        organization_id = organization.organization_id
        if sha256 is None:
            event = self._event(AuditKind.GATEWAY_CERTIFICATE_REMOVED, name, organization_id)
        else:
            event = self._event(AuditKind.GATEWAY_CERTIFICATE_SET, name, organization_id, sha256=sha256.hex())
        await self._callers.set_gateway_certificate(name, organization_id, sha256, event)

    async def disable_gateway(self, name: str, slug: str) -> None:
        """Take a gateway's rights away; effective at its next question, also on open connections.

        Raises:
            Unknown: there is no such organization or gateway, or the gateway is disabled already.
        """
        organization = await self._organizations.by_slug(slug)
        event = self._event(AuditKind.GATEWAY_DISABLED, name, organization.organization_id)
        await self._callers.disable_gateway(name, organization.organization_id, event)

    async def disable_agent(self, email: Mailbox, slug: str) -> None:
        """Take an agent's rights away.

        Raises:
            Unknown: there is no such organization or agent, or the agent is disabled already.
        """
        organization = await self._organizations.by_slug(slug)
        event = self._event(AuditKind.AGENT_DISABLED, email.key, organization.organization_id)
        await self._callers.disable_agent(email.key, organization.organization_id, event)

    def _event(self, kind: AuditKind, subject: str, organization_id: str | None, **detail: str) -> AuditEvent:
        return AuditEvent(
            kind=kind,
            at=self._clock.now(),
            actor=self._actor,
            subject=subject,
            organization_id=organization_id,
            detail=detail,
        )


def check_name(key: str, name: str) -> None:
    """Return if a caller or organization may be called that.

    Raises:
        ConfigurationRefused: as said.
    """
    if _NAME.fullmatch(name) is None:
        raise ConfigurationRefused(
            key=key,
            reason=f"{_shown(name)} is refused",
            remedy="use 1 to 64 of a-z, 0-9, '.', '-', '_', a letter or digit first and last",
        )


def _check_text(key: str, text: str) -> None:
    if not 0 < len(text) <= _LONGEST_TEXT or not text.isprintable() or text != text.strip():
        raise ConfigurationRefused(
            key=key,
            reason=f"{_shown(text)} is refused",
            remedy=f"use 1 to {_LONGEST_TEXT} visible characters",
        )


def _check_organization(organization: Organization) -> None:
    _check_text("name", organization.name)
    if organization.contact:
        _check_text("contact", organization.contact)
    if organization.correspondence.sender_name:
        _check_text("sender-name", organization.correspondence.sender_name)
    _check_sender(organization)


def _check_sender(organization: Organization) -> None:
    """Refuse a sender in somebody else's name; its mail would fail DMARC (RFC 7489 section 3.1) besides."""
    sender = organization.mail_from
    if not any(
        sender.domain == domain or sender.domain.endswith(f".{domain}") for domain in organization.domains
    ):
        raise ConfigurationRefused(
            key="mail-from",
            reason=f"{sender} is in none of the organization's domains",
            remedy=f"use an address in {' or '.join(sorted(organization.domains)) or 'one that you add'}",
        )


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")
