"""Which caller sent this request, and may he use this route? Bearer tokens, RFC 6750 section 2.1.

A route names whom it is for by depending on one of the classes below. So the right is checked on the route
that was matched, never on the URL, and the OpenAPI document says what the code does.
"""

import re
from typing import ClassVar
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.openapi.models import HTTPBearer as BearerScheme
from fastapi.security.base import SecurityBase

from directory.callers import Agent, Anonymous, Asker, Authentication, Gateway, RecoveryAgent
from directory.http.peers import Channel, Peer, peer_of
from directory.http.problem_kinds import HttpProblem
from directory.http.problems import ProblemRaised, refuse
from directory.http.services import HttpSettings
from directory.tokens import read_token

GATEWAY_SCHEME = "gatewayToken"
AGENT_SCHEME = "agentToken"
RECOVERY_AGENT_SCHEME = "recoveryAgentToken"

_CREDENTIALS = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*)")
"""RFC 6750 section 2.1; the scheme's name in any case, RFC 9110 section 11.1."""


class _CallerNeeded(SecurityBase):
    """What the ways of asking for a caller have in common: how a token is carried."""

    scheme: ClassVar[str]

    def __init__(self, authentication: Authentication, settings: HttpSettings) -> None:
        self.scheme_name = self.scheme
        self.model = BearerScheme(bearerFormat="KIND_IDENTIFIER_SECRET")
        self._authentication = authentication
        self._settings = settings

    def _peer(self, request: Request) -> Peer:
        return peer_of(request.scope, self._settings.trusted_proxies)

    def _token(self, request: Request) -> str | None:
        """Return the token the request carries; over a channel in clear, refuse before looking at it."""
        if _has_token_in_query(request):
            raise refuse(HttpProblem.TOKEN_IN_QUERY)
        sent = request.headers.getlist("authorization")
        if not sent:
            return None
        self._check_channel(request)
        if len(sent) > 1:
            raise refuse(HttpProblem.CREDENTIALS_MALFORMED, _challenge("invalid_request"))
        if sent[0].partition(" ")[0].lower() != "bearer":
            raise refuse(HttpProblem.TOKEN_REQUIRED, _challenge())
        credentials = _CREDENTIALS.fullmatch(sent[0])
        if credentials is None:
            raise refuse(HttpProblem.CREDENTIALS_MALFORMED, _challenge("invalid_request"))
        return credentials[1]

    def _required_token(self, request: Request) -> str:
        token = self._token(request)
        if token is None:
            raise self._uninvited(request)
        return token

    def _uninvited(self, request: Request) -> ProblemRaised:
        """Ask for a token; but not for one that could not be accepted over this channel."""
        self._check_channel(request)
        return refuse(HttpProblem.TOKEN_REQUIRED, _challenge())

    def _check_channel(self, request: Request) -> None:
        peer = self._peer(request)
        clear_is_fine = self._settings.credentials_in_clear_from_loopback and peer.is_local
        if peer.channel is Channel.CLEAR and not clear_is_fine:
            raise refuse(HttpProblem.TLS_REQUIRED)

    async def _member(self, request: Request, token: str) -> Gateway | Agent:
        """Return whose token it is, and leave the name for the access log."""
        gateway = await self._authentication.gateway(token)
        if gateway is not None:
            request.state.caller = f"gateway:{gateway.name}"
            return gateway
        agent = await self._authentication.agent(token)
        if agent is not None:
            # By identifier: an agent's name is an address.
            request.state.caller = f"agent:{agent.agent_id}"
            return agent
        self._authentication.refused(self._peer(request).address, front_end="http")
        raise refuse(HttpProblem.TOKEN_INVALID, _challenge("invalid_token"))

    async def _recovery_agent(self, request: Request, token: str) -> RecoveryAgent | None:
        agent = await self._authentication.recovery_agent(token)
        if agent is not None:
            request.state.caller = f"recovery_agent:{agent.agent_id}"
        return agent

    async def _gateway(self, request: Request, token: str) -> Gateway:
        member = await self._member(request, token)
        if not isinstance(member, Gateway):
            raise refuse(HttpProblem.GATEWAY_REQUIRED, _challenge("insufficient_scope"))
        return member


class GatewayNeeded(_CallerNeeded):
    """The route is for gateways."""

    scheme = GATEWAY_SCHEME

    async def __call__(self, request: Request) -> Gateway:
        """Return the gateway that asks."""
        return await self._gateway(request, self._required_token(request))


class AgentNeeded(_CallerNeeded):
    """The route is for registration agents."""

    scheme = AGENT_SCHEME

    async def __call__(self, request: Request) -> Agent:
        """Return the agent who asks."""
        member = await self._member(request, self._required_token(request))
        if not isinstance(member, Agent):
            raise refuse(HttpProblem.AGENT_REQUIRED, _challenge("insufficient_scope"))
        return member


class MemberNeeded(_CallerNeeded):
    """The route is for an organization's gateways and registration agents."""

    scheme = AGENT_SCHEME

    async def __call__(self, request: Request) -> Gateway | Agent:
        """Return the gateway or agent who asks."""
        return await self._member(request, self._required_token(request))


class RecoveryAgentNeeded(_CallerNeeded):
    """The route is for recovery agents."""

    scheme = RECOVERY_AGENT_SCHEME

    async def __call__(self, request: Request) -> RecoveryAgent:
        """Return the recovery agent who asks."""
        token = self._required_token(request)
        agent = await self._recovery_agent(request, token)
        if agent is None:
            await self._member(request, token)
            raise refuse(HttpProblem.RECOVERY_AGENT_REQUIRED, _challenge("insufficient_scope"))
        return agent


class RecoveryPartyNeeded(_CallerNeeded):
    """The route is for recovery agents, and for the registration agents of the organization it is about."""

    scheme = AGENT_SCHEME

    async def __call__(self, request: Request) -> Agent | RecoveryAgent:
        """Return the agent who asks."""
        token = self._required_token(request)
        agent = await self._recovery_agent(request, token)
        if agent is not None:
            return agent
        member = await self._member(request, token)
        if not isinstance(member, Agent):
            raise refuse(HttpProblem.AGENT_REQUIRED, _challenge("insufficient_scope"))
        return member


class AskerWelcome(_CallerNeeded):
    """The route is for gateways, and for the anonymous where the operator's policy lets them read."""

    scheme = GATEWAY_SCHEME

    async def __call__(self, request: Request) -> Asker:
        """Return who asks; a token that is not valid does not become an anonymous caller."""
        token = self._token(request)
        if token is not None:
            return await self._gateway(request, token)
        if self._peer(request).may_read_anonymously(self._settings.anonymous_read):
            return Anonymous(may_read=True)
        # The same for every address, so that nothing is learned from it.
        raise self._uninvited(request)


def _has_token_in_query(request: Request) -> bool:
    query: bytes = request.scope["query_string"]
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return any(name == "access_token" or read_token(value) is not None for name, value in pairs)


def _challenge(error: str | None = None) -> dict[str, str]:
    """Return the challenge of RFC 6750 section 3; without an error where no token was sent (section 3.1)."""
    realm = 'Bearer realm="pushpki"'
    return {"WWW-Authenticate": realm if error is None else f'{realm}, error="{error}"'}
