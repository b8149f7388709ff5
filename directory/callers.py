"""Who is asking? Gateways, registration and recovery agents, the anonymous; how tokens tell them apart."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from directory.organization import SHARED_SCOPE
from directory.tokens import PresentedToken, TokenKind, read_token


@dataclass(frozen=True, slots=True, kw_only=True)
class Anonymous:
    """A caller without credentials; sees shared certificates where `may_read` says so, and never mints."""

    may_read: bool

    @property
    def scope(self) -> str:
        """Whose certificates it sees."""
        return SHARED_SCOPE


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """An organization's machine that looks addresses up."""

    gateway_id: str
    name: str
    organization_id: str
    scope: str
    may_mint: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A registration agent: passes passwords on, acts for one organization."""

    agent_id: str
    email: str
    organization_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryAgent:
    """A person who holds a share of the recovery key, and approves recoveries; of no organization."""

    agent_id: str
    name: str
    email: str
    person: str
    """The person presumably behind the address (`Mailbox.base_key`): approvals are counted by people."""
    certificate_sha256: bytes | None = None
    """A certificate of that person, by which two accounts of one person are told as well."""


Asker = Anonymous | Gateway


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldToken:
    """A gateway has shown its token; this tells which one it was, and is no secret."""

    token_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCertificate:
    """A gateway has shown, by a TLS handshake, that it holds the key of this certificate."""

    sha256: bytes


Credential = HeldToken | HeldCertificate
"""By what a gateway has authenticated; as long as it is good, so is the authentication."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayCredential:
    """A gateway as stored, with the digest of its token's secret."""

    gateway: Gateway
    token_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCredential:
    """An agent as stored, with the digest of its token's secret."""

    agent: Agent
    token_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryAgentCredential:
    """A recovery agent as stored, with the digest of the token's secret."""

    agent: RecoveryAgent
    token_digest: bytes


class CallerStore(Protocol):
    """Finds callers that are neither disabled themselves nor of a disabled organization."""

    async def gateway_by_token(self, token_id: str) -> GatewayCredential | None:
        """Return the gateway whose token carries this identifier."""
        ...

    async def gateways_by_credential(
        self, credentials: Collection[Credential]
    ) -> Mapping[Credential, Gateway]:
        """Return the gateway of each of the credentials that is good."""
        ...

    async def agent_by_token(self, token_id: str) -> AgentCredential | None:
        """Return the agent whose token carries this identifier."""
        ...

    async def recovery_agent_by_token(self, token_id: str) -> RecoveryAgentCredential | None:
        """Return the recovery agent whose token carries this identifier."""
        ...


class CallerWatch(Protocol):
    """Wants to know who gets in, and who does not."""

    def entered(self, caller: str, organization_id: str | None) -> None:
        """Take notice of a caller, such as `gateway:NAME`."""
        ...

    def failed(self, peer: str | None, front_end: str) -> None:
        """Take notice of credentials that are nobody's; `peer` is the address they came from, if known."""
        ...


class _NobodyWatches:
    def entered(self, caller: str, organization_id: str | None) -> None:
        """Do nothing."""

    def failed(self, peer: str | None, front_end: str) -> None:
        """Do nothing."""


_NOBODY = b"\x00" * 32


class Authentication:
    """Turns a presented token into the caller it belongs to, or into nobody; never says why."""

    def __init__(self, store: CallerStore, watch: CallerWatch | None = None) -> None:
        self._store = store
        self._watch = watch or _NobodyWatches()

    def refused(self, peer: str | None, *, front_end: str) -> None:
        """Tell that credentials were nobody's; only a front end knows where they came from."""
        self._watch.failed(peer, front_end)

    async def gateway(self, token: str) -> Gateway | None:
        """Return the gateway that holds the token."""
        presented = _of_kind(token, TokenKind.GATEWAY)
        if presented is None:
            return None
        credential = await self._store.gateway_by_token(presented.token_id)
        # The comparison runs whether or not there is a record, so that the time taken does not tell.
        genuine = presented.matches(credential.token_digest if credential else _NOBODY)
        return self._entered(credential.gateway) if credential and genuine else None

    async def named_gateway(self, name: str, token: str) -> Gateway | None:
        """Return the gateway that holds the token, if that is its name (an LDAP bind says both)."""
        gateway = await self.gateway(token)
        return gateway if gateway and gateway.name == name.lower() else None

    async def certified_gateway(self, sha256: bytes) -> Gateway | None:
        """Return the gateway of the certificate with this digest; the caller has shown to hold its key."""
        credential = HeldCertificate(sha256=sha256)
        gateway = (await self.still_good((credential,))).get(credential)
        return self._entered(gateway) if gateway else None

    async def still_good(self, credentials: Collection[Credential]) -> Mapping[Credential, Gateway]:
        """Return what the gateway of each credential is now; those that are good no more are not in it."""
        return await self._store.gateways_by_credential(credentials)

    async def agent(self, token: str) -> Agent | None:
        """Return the registration agent who holds the token."""
        presented = _of_kind(token, TokenKind.AGENT)
        if presented is None:
            return None
        credential = await self._store.agent_by_token(presented.token_id)
        genuine = presented.matches(credential.token_digest if credential else _NOBODY)
        if credential is None or not genuine:
            return None
        agent = credential.agent
        # By identifier: an agent's name is an address.
        self._watch.entered(f"agent:{agent.agent_id}", agent.organization_id)
        return agent

    async def recovery_agent(self, token: str) -> RecoveryAgent | None:
        """Return the recovery agent who holds the token."""
        presented = _of_kind(token, TokenKind.RECOVERY_AGENT)
        if presented is None:
            return None
        credential = await self._store.recovery_agent_by_token(presented.token_id)
        genuine = presented.matches(credential.token_digest if credential else _NOBODY)
        if credential is None or not genuine:
            return None
        self._watch.entered(f"recovery_agent:{credential.agent.agent_id}", None)
        return credential.agent

    def _entered(self, gateway: Gateway) -> Gateway:
        self._watch.entered(f"gateway:{gateway.name}", gateway.organization_id)
        return gateway


def _of_kind(token: str, kind: TokenKind) -> PresentedToken | None:
    presented = read_token(token)
    return presented if presented and presented.kind is kind else None
