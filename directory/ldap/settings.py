"""How does this front end behave? Its limits, time-outs and switches, as one frozen value."""

from dataclasses import dataclass
from enum import Enum

from directory.access import AnonymousRead


class ClearCredentials(Enum):
    """Whose credentials are accepted on a connection without TLS (RFC 4513 section 5.1.3)."""

    NOBODY = "nobody"
    LOOPBACK = "loopback"


class StartTls(Enum):
    """Whether a connection without TLS may go over to it."""

    OFFERED = "offered"
    UNAVAILABLE = "unavailable"


class AttributeNames(Enum):
    """By which names attributes with certificates are returned."""

    BINARY = "binary"  # `userCertificate;binary`, as RFC 4522 section 5 has it
    PLAIN = "plain"  # `userCertificate`, as Active Directory does and its clients expect


class SmimeForm(Enum):
    """What a value of userSMIMECertificate is; the three forms in use have nothing in common."""

    PKCS7 = "pkcs7"  # SignedData with nothing but the certificate and its chain (RFC 2798 section 2.8)
    DER = "der"  # the certificate itself, which the Direct Project's .NET agent expects
    OFF = "off"  # there is no such attribute


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """How entries are shown to the clients at hand."""

    names: AttributeNames = AttributeNames.BINARY
    smime: SmimeForm = SmimeForm.PKCS7


@dataclass(frozen=True, slots=True, kw_only=True)
class LdapSettings:
    """The settings of the LDAP front end. Sizes are in octets, times in seconds."""

    suffix: str = "o=directory"
    """The naming context: everything is below it."""
    presentation: Presentation = Presentation()
    anonymous_read: AnonymousRead = AnonymousRead.LOOPBACK
    clear_credentials: ClearCredentials = ClearCredentials.LOOPBACK

    anonymous_pdu_limit: int = 64 * 1024
    authenticated_pdu_limit: int = 256 * 1024
    operations_per_connection: int = 64
    """Searches of one connection under way at once; more wait in the socket."""
    connections: int = 2048
    octets_at_once: int = 128 * 1024
    """Of answers to one connection, after which others have their turn and what was sent must be read."""
    lookups: int = 512
    """Lookups of all connections under way at once; more are answered with busy."""
    failed_binds: int = 5
    """Wrong credentials in a row on one connection, after which it is closed."""

    answer_within: float = 4.5
    """How long a search takes at most: gateways give up after 5 s, and some clients never."""
    lookup_ceiling: float = 60
    """How long a lookup whose answer nobody waits for any more may go on before it is cancelled."""
    idle: float = 60
    """How long a connection may stay without completing a message, while nobody has authenticated."""
    idle_gateway: float = 900
    """The same for a gateway: connections that wait in its pool are meant to stay."""
    message: float = 20
    """How long a message may take from its first octet to its last."""
    connections_per_peer: int = 256
    """Connections from one address; this machine's own are not counted."""
    rights: float = 2
    """How often it is looked at whether the credentials of those who are logged in are still good."""
    handshake: float = 10
    """How long a TLS handshake may take."""
    write: float = 30
    """How long a client may leave what it is sent unread."""
