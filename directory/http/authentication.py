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

from directory.callers import Agent, Anonymous, Asker, Authentication, Gateway
from directory.http.peers import Channel, Peer, peer_of
from directory.http.problem_kinds import HttpProblem
from directory.http.problems import ProblemRaised, refuse
from directory.http.services import HttpSettings
from directory.tokens import read_token

GATEWAY_SCHEME = "gatewayToken"
AGENT_SCHEME = "agentToken"

_REALM = 'Bearer realm="pushpki"'
_CREDENTIALS = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*)")
"""RFC 6750 section 2.1; the scheme's name in any case, RFC 9110 section 11.1."""


class _CallerNeeded(SecurityBase):
    """What the four ways of asking for a caller have in common: how a token is carried."""

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
            raise _malformed()
        if sent[0].partition(" ")[0].lower() != "bearer":
            raise _required()
        credentials = _CREDENTIALS.fullmatch(sent[0])
        if credentials is None:
            raise _malformed()
        return credentials[1]

    def _required_token(self, request: Request) -> str:
        token = self._token(request)
        if token is None:
            # Do not invite a token that could not be accepted this way.
            self._check_channel(request)
            raise _required()
        return token

    def _check_channel(self, request: Request) -> None:
        peer = self._peer(request)
        clear_is_fine = self._settings.credentials_in_clear_from_loopback and peer.is_local
        if peer.channel is Channel.CLEAR and not clear_is_fine:
            raise refuse(HttpProblem.TLS_REQUIRED)

    async def _gateway_only(self, request: Request, token: str) -> Gateway:
        gateway = await self._authentication.gateway(token)
        if gateway is None:
            raise _wrong_kind_or_invalid(
                HttpProblem.GATEWAY_REQUIRED, other=await self._authentication.agent(token)
            )
        _note(request, f"gateway:{gateway.name}")
        return gateway


class GatewayNeeded(_CallerNeeded):
    """The route is for gateways."""

    scheme = GATEWAY_SCHEME

    async def __call__(self, request: Request) -> Gateway:
        """Return the gateway that asks."""
        return await self._gateway_only(request, self._required_token(request))


class AgentNeeded(_CallerNeeded):
    """The route is for registration agents."""

    scheme = AGENT_SCHEME

    async def __call__(self, request: Request) -> Agent:
        """Return the agent who asks."""
        token = self._required_token(request)
        agent = await self._authentication.agent(token)
        if agent is None:
            raise _wrong_kind_or_invalid(
                HttpProblem.AGENT_REQUIRED, other=await self._authentication.gateway(token)
            )
        _note(request, f"agent:{agent.agent_id}")
        return agent


class MemberNeeded(_CallerNeeded):
    """The route is for an organization's gateways and registration agents."""

    scheme = AGENT_SCHEME

    async def __call__(self, request: Request) -> Gateway | Agent:
        """Return the gateway or agent who asks."""
        token = self._required_token(request)
        gateway = await self._authentication.gateway(token)
        if gateway is not None:
            _note(request, f"gateway:{gateway.name}")
            return gateway
        agent = await self._authentication.agent(token)
        if agent is None:
            raise _invalid()
        _note(request, f"agent:{agent.agent_id}")
        return agent


class AskerWelcome(_CallerNeeded):
    """The route is for gateways, and for the anonymous where the operator's policy lets them read."""

    scheme = GATEWAY_SCHEME

    async def __call__(self, request: Request) -> Asker:
        """Return who asks; a token that is not valid does not become an anonymous caller."""
        token = self._token(request)
        if token is not None:
            return await self._gateway_only(request, token)
        if self._peer(request).may_read_anonymously(self._settings.anonymous_read):
            return Anonymous(may_read=True)
        # The same for every address, so that nothing is learned from it.
        self._check_channel(request)
        raise _required()


def _has_token_in_query(request: Request) -> bool:
    query: bytes = request.scope["query_string"]
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return any(name == "access_token" or read_token(value) is not None for name, value in pairs)


def _note(request: Request, caller: str) -> None:
    """Leave the caller's name for the access log; an agent's identifier, since his name is an address."""
    request.state.caller = caller


def _required() -> ProblemRaised:
    return refuse(HttpProblem.TOKEN_REQUIRED, {"WWW-Authenticate": _REALM})


def _malformed() -> ProblemRaised:
    return refuse(
        HttpProblem.CREDENTIALS_MALFORMED, {"WWW-Authenticate": f'{_REALM}, error="invalid_request"'}
    )


def _invalid() -> ProblemRaised:
    return refuse(HttpProblem.TOKEN_INVALID, {"WWW-Authenticate": f'{_REALM}, error="invalid_token"'})


def _wrong_kind_or_invalid(problem: HttpProblem, *, other: Gateway | Agent | None) -> ProblemRaised:
    if other is None:
        return _invalid()
    return refuse(problem, {"WWW-Authenticate": f'{_REALM}, error="insufficient_scope"'})
