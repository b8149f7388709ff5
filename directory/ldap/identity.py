"""Who is the client of a session, and how is its connection protected? Changes with binds and with TLS.

Knows nothing of messages; whether credentials are good is found out elsewhere.
"""

from dataclasses import replace

from directory.access import may_read_anonymously
from directory.callers import Anonymous, Asker, Credential, Gateway
from directory.ldap.actions import Authenticate, AuthenticateCertificate
from directory.ldap.binding import Circumstances, Protection, Verdict, judge_bind
from directory.ldap.requests import BindRequest
from directory.ldap.settings import LdapSettings
from directory.ldap.tree import Tree


class Identity:
    """The client of one session: nobody, until it has authenticated."""

    __slots__ = ("_circumstances", "_nobody", "_settings", "_whole_tree", "asker", "credential", "tree")

    def __init__(
        self, *, tree: Tree, settings: LdapSettings, peer_address: str, protection: Protection
    ) -> None:
        self._whole_tree = tree
        self._settings = settings
        self._circumstances = Circumstances(peer_address=peer_address, protection=protection)
        self._nobody = Anonymous(may_read=may_read_anonymously(settings.anonymous_read, peer_address))
        self.asker: Asker = self._nobody
        self.credential: Credential | None = None
        """By what the gateway has authenticated; None for nobody."""
        self.tree = tree
        """The tree as it looks from here: its root names the SASL mechanisms that can be used now."""
        self._look_again()

    @property
    def is_protected(self) -> bool:
        """Whether the connection is under TLS."""
        return self._circumstances.protection is Protection.TLS

    @property
    def longest_quiet(self) -> float:
        """How many seconds may pass without a message: a gateway keeps its connection for the next one."""
        return self._settings.idle if self.credential is None else self._settings.idle_gateway

    @property
    def pdu_limit(self) -> int:
        """How many octets one of its messages may have."""
        settings = self._settings
        return settings.anonymous_pdu_limit if self.credential is None else settings.authenticated_pdu_limit

    def judge(self, request: BindRequest) -> Verdict:
        """Decide about a bind request as far as that is possible without looking at the credentials."""
        return judge_bind(request, self._circumstances, self._settings, self.tree)

    def become(self, gateway: Gateway, checked: Authenticate | AuthenticateCertificate) -> None:
        """Be this gateway from now on."""
        self.asker = gateway
        self.credential = checked.credential

    def become_nobody(self) -> None:
        """Be nobody again."""
        self.asker = self._nobody
        self.credential = None

    def secure(self) -> None:
        """Be nobody under TLS (RFC 4513 section 3.1.1): what was agreed in clear may be forged."""
        self.become_nobody()
        self._circumstances = replace(self._circumstances, protection=Protection.TLS)
        self._look_again()

    def present(self, certificate: bytes) -> None:
        """Have shown a certificate of this SHA-256, and that one has its key."""
        self._circumstances = replace(self._circumstances, client_certificate=certificate)
        self._look_again()

    def _look_again(self) -> None:
        self.tree = self._whole_tree.offering(self._circumstances.mechanisms(self._settings))
