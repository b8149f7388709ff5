"""What does an operator add and take away? Organizations, their gateways and registration agents."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerRecord:
    """A gateway or an agent, as listed: never with its token."""

    name: str
    organization: str
    created_at: datetime
    disabled_at: datetime | None
    may_mint: bool | None = None
    """None for agents."""


class Register(Protocol):
    """Keeps organizations and callers; each change is one durable transaction with its audit event."""

    async def add_organization(self, organization: Organization, *, at: datetime, event: AuditEvent) -> None:
        """Add an organization.

        Raises:
            AlreadyExists: its slug or one of its domains is taken.
        """
        ...

    async def organization(self, slug: str) -> Organization:
        """Return the organization.

        Raises:
            Unknown: there is none of that slug.
        """
        ...

    async def organizations(self) -> Sequence[Organization]:
        """Return all organizations by slug."""
        ...

    async def add_gateway(
        self, gateway: Gateway, token: IssuedToken, *, at: datetime, event: AuditEvent
    ) -> None:
        """Add a gateway.

        Raises:
            AlreadyExists: its name is taken.
        """
        ...

    async def add_agent(self, agent: Agent, token: IssuedToken, *, at: datetime, event: AuditEvent) -> None:
        """Add a registration agent.

        Raises:
            AlreadyExists: the organization has this agent already.
        """
        ...

    async def gateways(self) -> Sequence[CallerRecord]:
        """Return all gateways by name."""
        ...

    async def agents(self) -> Sequence[CallerRecord]:
        """Return all agents by organization and name."""
        ...

    async def disable_gateway(self, name: str, *, at: datetime, event: AuditEvent) -> None:
        """Take a gateway's rights away, for good.

        Raises:
            Unknown: there is no such gateway, or it is disabled already.
        """
        ...

    async def disable_agent(
        self, email: str, organization_id: str, *, at: datetime, event: AuditEvent
    ) -> None:
        """Take an agent's rights away, for good.

        Raises:
            Unknown: there is no such agent, or it is disabled already.
        """
        ...


class Administration:
    """An operator at work."""

    def __init__(self, *, register: Register, clock: Clock, actor: str) -> None:
        self._register = register
        self._clock = clock
        self._actor = actor

    async def add_organization(self, organization: Organization) -> None:
        """Add an organization.

        Raises:
            ConfigurationRefused: slug, name or a domain is not acceptable.
            AlreadyExists: the slug or one of the domains is taken.
        """
        _check_name("slug", organization.slug)
        _check_text("name", organization.name)
        if organization.contact:
            _check_text("contact", organization.contact)
        event = self._event(
            AuditKind.ORGANIZATION_ADDED,
            organization.slug,
            organization.organization_id,
            slug=organization.slug,
        )
        await self._register.add_organization(organization, at=event.at, event=event)

    async def add_gateway(self, name: str, slug: str, *, may_mint: bool) -> IssuedToken:
        """Add a gateway to an organization; return its token, which is stored nowhere.

        Raises:
            ConfigurationRefused: the name is not acceptable.
            Unknown: there is no such organization.
            AlreadyExists: the name is taken.
        """
        _check_name("name", name)
        organization = await self._register.organization(slug)
        gateway = Gateway(
            gateway_id=secrets.token_hex(16),
            name=name,
            organization_id=organization.organization_id,
            scope=organization.scope,
            may_mint=may_mint,
        )
        token = issue_token(TokenKind.GATEWAY)
        event = self._event(AuditKind.GATEWAY_ADDED, gateway.gateway_id, gateway.organization_id, name=name)
        await self._register.add_gateway(gateway, token, at=event.at, event=event)
        return token

    async def add_agent(self, email: Mailbox, slug: str) -> IssuedToken:
        """Add a registration agent to an organization; return the token, which is stored nowhere.

        Raises:
            Unknown: there is no such organization.
            AlreadyExists: the organization has this agent already.
        """
        organization = await self._register.organization(slug)
        agent = Agent(
            agent_id=secrets.token_hex(16), email=email.key, organization_id=organization.organization_id
        )
        token = issue_token(TokenKind.AGENT)
        event = self._event(AuditKind.AGENT_ADDED, agent.agent_id, agent.organization_id, email=agent.email)
        await self._register.add_agent(agent, token, at=event.at, event=event)
        return token

    async def disable_gateway(self, name: str) -> None:
        """Take a gateway's rights away; effective at its next question, also on open connections.

        Raises:
            Unknown: there is no such gateway, or it is disabled already.
        """
        event = self._event(AuditKind.GATEWAY_DISABLED, name, None, name=name)
        await self._register.disable_gateway(name, at=event.at, event=event)

    async def disable_agent(self, email: Mailbox, slug: str) -> None:
        """Take an agent's rights away.

        Raises:
            Unknown: there is no such organization or agent, or the agent is disabled already.
        """
        organization = await self._register.organization(slug)
        event = self._event(
            AuditKind.AGENT_DISABLED, email.key, organization.organization_id, email=email.key
        )
        await self._register.disable_agent(email.key, organization.organization_id, at=event.at, event=event)

    def _event(self, kind: AuditKind, subject: str, organization_id: str | None, **detail: str) -> AuditEvent:
        return AuditEvent(
            kind=kind,
            at=self._clock.now(),
            actor=self._actor,
            subject=subject,
            organization_id=organization_id,
            detail=detail,
        )


def _check_name(key: str, name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise ConfigurationRefused(
            key=key, reason=f"{name!r} is refused", remedy="use up to 64 of a-z, 0-9, '.', '-', '_'"
        )


def _check_text(key: str, text: str) -> None:
    if not 0 < len(text) <= _LONGEST_TEXT or not text.isprintable() or text != text.strip():
        raise ConfigurationRefused(
            key=key, reason="is refused", remedy=f"use 1 to {_LONGEST_TEXT} visible characters"
        )
