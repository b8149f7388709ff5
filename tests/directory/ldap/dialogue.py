"""A client and a session, without a network: octets in, responses out, everything else by hand or at once."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from directory.access import AnonymousRead
from directory.authorities import NO_AUTHORITIES, Authorities
from directory.ldap.actions import (
    Action,
    Authenticate,
    AuthenticateCertificate,
    BeginTls,
    Close,
    LookUp,
    Operation,
    Send,
)
from directory.ldap.binding import Protection
from directory.ldap.codes import NOTICE_OF_DISCONNECTION
from directory.ldap.results import Outcome
from directory.ldap.session import Session
from directory.ldap.settings import ClearCredentials, LdapSettings, Presentation, StartTls
from directory.ldap.tree import Tree
from tests.directory.ldap.memory import BIND_NAME, TOKEN, Directory
from tests.directory.ldap.wire import ReadResult, Response, bind, responses

LOOPBACK = "127.0.0.1"
REMOTE = "192.0.2.7"
STANDARD = Presentation()


def a_session(
    *,
    settings: LdapSettings | None = None,
    peer_address: str = LOOPBACK,
    protection: Protection = Protection.NONE,
    start_tls: StartTls = StartTls.OFFERED,
    authorities: Authorities = NO_AUTHORITIES,
) -> Session:
    settings = settings or LdapSettings()
    return Session(
        tree=Tree(settings.suffix, start_tls, presentation=settings.presentation, authorities=authorities),
        settings=settings,
        peer_address=peer_address,
        protection=protection,
        start_tls=start_tls,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a client saw since it last looked."""

    responses: list[Response]
    closed: bool

    @property
    def result(self) -> ReadResult:
        (only,) = self.responses
        assert isinstance(only, ReadResult)
        return only

    @property
    def notice(self) -> ReadResult:
        last = self.responses[-1]
        assert isinstance(last, ReadResult)
        assert (last.message_id, last.response_name) == (0, NOTICE_OF_DISCONNECTION)
        assert self.closed
        return last


class Dialogue:
    """Carries out what the session wants, as the shell would, but in one thread and without time.

    With a directory, lookups and authentications are answered at once; without, they wait in `operations`
    and `authentications` for the test to answer them.
    """

    def __init__(self, session: Session, directory: Directory | None = None) -> None:
        self.session = session
        self.operations: list[Operation] = []
        self.authentications: list[Authenticate | AuthenticateCertificate] = []
        self.tls_begun = 0
        self.closed_because: str | None = None
        self._directory = directory
        self._octets = bytearray()

    def send(self, data: bytes) -> Seen:
        return self.carry_out(self.session.receive(data))

    def send_all(self, pieces: Iterable[bytes]) -> Seen:
        for piece in pieces:
            self._work(self.session.receive(piece))
        return self._look()

    def answer(self, operation: Operation, *outcomes: Outcome) -> Seen:
        return self.carry_out(self.session.looked_up(operation, outcomes))

    def carry_out(self, actions: list[Action]) -> Seen:
        self._work(actions)
        return self._look()

    def log_in(self) -> None:
        assert self._directory is not None
        assert self.send(bind(BIND_NAME, TOKEN, message_id=999)).result.code == 0

    def _look(self) -> Seen:
        octets = bytes(self._octets)
        self._octets.clear()
        return Seen(responses=responses(octets), closed=self.closed_because is not None)

    def _work(self, actions: list[Action]) -> None:
        waiting = deque(actions)
        while waiting:
            action = waiting.popleft()
            match action:
                case Send(data=data):
                    assert self.closed_because is None, "octets after the end"
                    self._octets += data
                case Close(reason=reason):
                    self.closed_because = reason
                case BeginTls():
                    self.tls_begun += 1
                case LookUp(operation=operation) if self._directory is not None:
                    outcomes = tuple(map(self._directory.answer_now, operation.plan.questions))
                    waiting.extend(self.session.looked_up(operation, outcomes))
                case LookUp(operation=operation):
                    self.operations.append(operation)
                case Authenticate() if self._directory is not None:
                    gateway = self._directory.authenticate(action.gateway, action.token)
                    waiting.extend(self.session.authenticated(gateway))
                case AuthenticateCertificate() if self._directory is not None:
                    waiting.extend(self.session.authenticated(self._directory.certified(action.sha256)))
                case Authenticate() | AuthenticateCertificate():
                    self.authentications.append(action)


def a_dialogue(
    directory: Directory | None = None,
    *,
    anonymous_read: AnonymousRead = AnonymousRead.LOOPBACK,
    clear_credentials: ClearCredentials = ClearCredentials.LOOPBACK,
    operations_per_connection: int = 64,
    peer_address: str = LOOPBACK,
    protection: Protection = Protection.NONE,
    start_tls: StartTls = StartTls.OFFERED,
    suffix: str = "o=directory",
    presentation: Presentation = STANDARD,
    authorities: Authorities = NO_AUTHORITIES,
) -> Dialogue:
    settings = LdapSettings(
        suffix=suffix,
        presentation=presentation,
        anonymous_read=anonymous_read,
        clear_credentials=clear_credentials,
        operations_per_connection=operations_per_connection,
    )
    session = a_session(
        settings=settings,
        peer_address=peer_address,
        protection=protection,
        start_tls=start_tls,
        authorities=authorities,
    )
    return Dialogue(session, directory)
