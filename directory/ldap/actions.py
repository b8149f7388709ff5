"""What does the session want done? The things it cannot do itself, because it has no socket and no clock."""

from dataclasses import dataclass, field

from directory.callers import Credential, Gateway, HeldCertificate, HeldToken
from directory.ldap.answers import Ticket
from directory.ldap.plans import Plan
from directory.ldap.responses import Result
from directory.tokens import read_token


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operation:
    """A search or compare that waits for answers; it is itself, whatever its message identifier."""

    message_id: int
    plan: Plan
    seconds: float
    """How long its client waits at most."""
    when_late: Result
    """How it ends if there are no answers by then."""
    ticket: Ticket | None = None
    """Under what its answer may be remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Write these octets."""

    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """Find the answers to the operation's questions, then call `Session.looked_up` or `Session.late`."""

    operation: Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticate:
    """Find out who this is, then call `Session.authenticated` or `Session.authentication_failed`."""

    gateway: str
    token: str = field(repr=False)

    @property
    def credential(self) -> Credential:
        """What makes the authentication good, if it is."""
        presented = read_token(self.token)
        return HeldToken(token_id=presented.token_id if presented else "")

    def accepts(self, gateway: Gateway) -> bool:
        """Whether the client may be the gateway that was found."""
        return gateway.name == self.gateway.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticateCertificate:
    """Find out whose TLS certificate this is, then go on as after `Authenticate`."""

    sha256: bytes
    gateway: str | None
    """Who the client says it is, if it does."""

    @property
    def credential(self) -> Credential:
        """What makes the authentication good, if it is."""
        return HeldCertificate(sha256=self.sha256)

    def accepts(self, gateway: Gateway) -> bool:
        """Whether the client may be the gateway that was found."""
        return self.gateway is None or gateway.name == self.gateway.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginTls:
    """Take no more octets in clear, begin the TLS handshake, then call `Session.tls_established`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Close the connection when everything has been written."""

    reason: str


Action = Send | LookUp | Authenticate | AuthenticateCertificate | BeginTls | Close
