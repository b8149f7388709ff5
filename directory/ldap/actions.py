"""What does the session want done? The things it cannot do itself, because it has no socket and no clock."""

from dataclasses import dataclass, field

from directory.ldap.plans import Plan
from directory.ldap.responses import Result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operation:
    """A search or compare that waits for answers; it is itself, whatever its message identifier."""

    message_id: int
    plan: Plan
    seconds: float
    """How long its client waits at most."""
    when_late: Result
    """How it ends if there are no answers by then."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginTls:
    """Take no more octets in clear, begin the TLS handshake, then call `Session.tls_established`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Close the connection when everything has been written."""

    reason: str


Action = Send | LookUp | Authenticate | BeginTls | Close
