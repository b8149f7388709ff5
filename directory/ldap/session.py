"""What happens between a client and the directory? One LDAP session, without I/O (RFC 4511, RFC 4513).

The session is told what happened (octets came, a lookup was answered, TLS is up) and returns what is to be
done. Its state is one of these:

    OPEN            requests are carried out; several searches may be under way
    AUTHENTICATING  a bind waits for its answer; nothing else is carried out meanwhile (RFC 4511 4.2.1)
    STARTING_TLS    StartTLS was accepted; octets in clear end the session
    CLOSED          nothing happens any more

Whoever drives it stops reading while `wants_octets` is false; what was read already stays in the framer.
Every request that has a response gets exactly one, unless it is abandoned or the session ends.
"""

from collections.abc import Sequence
from enum import Enum

from directory.callers import Asker, Credential, Gateway
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
from directory.ldap.answers import AnswerCache, Ticket
from directory.ldap.binding import (
    WRONG_CREDENTIALS,
    Anonymously,
    Check,
    CheckCertificate,
    Protection,
    Refuse,
)
from directory.ldap.codes import CANCEL, START_TLS, WHO_AM_I, ResponseTag, ResultCode
from directory.ldap.comparison import plan_compare
from directory.ldap.controls import PageWanted, read_controls
from directory.ldap.errors import MalformedPdu, RequestRefused
from directory.ldap.framing import Framer
from directory.ldap.identity import Identity
from directory.ldap.operations import Operations
from directory.ldap.paging import Pages
from directory.ldap.plans import Plan
from directory.ldap.requests import (
    AbandonRequest,
    BindRequest,
    CompareRequest,
    ExtendedRequest,
    Message,
    SearchRequest,
    Unacceptable,
    UnbindRequest,
    message_to_cancel,
    read_message,
)
from directory.ldap.responses import (
    SUCCESS,
    Result,
    write_extended,
    write_notice_of_disconnection,
    write_result,
)
from directory.ldap.results import Outcome, result_of_failure
from directory.ldap.search import plan_search
from directory.ldap.settings import LdapSettings, StartTls
from directory.ldap.tree import Tree


class State(Enum):
    """What the session is doing."""

    OPEN = "open"
    AUTHENTICATING = "authenticating"
    STARTING_TLS = "starting TLS"
    CLOSED = "closed"


class Session:
    """One client's session."""

    def __init__(
        self,
        *,
        tree: Tree,
        settings: LdapSettings,
        peer_address: str,
        protection: Protection,
        start_tls: StartTls,
        answers: AnswerCache | None = None,
    ) -> None:
        self._settings = settings
        self._answers = answers
        self._start_tls = start_tls
        self._client = Identity(
            tree=tree, settings=settings, peer_address=peer_address, protection=protection
        )
        self._framer = Framer(self._client.pdu_limit)
        self._state = State.OPEN
        self._operations = Operations(settings)
        self._bind: tuple[int, BindRequest] | None = None
        """A bind request that waits for earlier operations, or for its own answer."""
        self._checking: Authenticate | AuthenticateCertificate | None = None
        self._pages: Pages | None = None
        self._wrong_credentials = 0
        self._messages = 0
        self._input_ended = False
        self._has_more = False

    @property
    def state(self) -> State:
        """What the session is doing."""
        return self._state

    @property
    def asker(self) -> Asker:
        """On whose behalf requests are carried out."""
        return self._client.asker

    @property
    def credential(self) -> Credential | None:
        """By what the gateway has authenticated; None for nobody."""
        return self._client.credential

    @property
    def is_amid_message(self) -> bool:
        """Whether the rest of a message is waited for."""
        return self._framer.pending > 0 and self.wants_octets

    @property
    def messages(self) -> int:
        """How many messages have come."""
        return self._messages

    @property
    def longest_quiet(self) -> float:
        """How many seconds may pass without a message."""
        return self._client.longest_quiet

    @property
    def is_idle(self) -> bool:
        """Whether the client waits for nothing."""
        return not self._operations and self._bind is None

    @property
    def has_more(self) -> bool:
        """Whether `proceed` is to be called when what was sent so far has been written."""
        return self._has_more

    @property
    def wants_octets(self) -> bool:
        """Whether requests would be carried out now."""
        return self._state is State.OPEN and self._bind is None and self._operations.have_room

    def answer_at_once(self, data: bytes) -> bytes | None:
        """Answer what is one search and nothing else, if its answer is remembered: the short way of most.

        None changes nothing: then the octets are to be received.
        """
        if (
            self._answers is None
            or self._has_more
            or not self.wants_octets
            or not self._framer.is_one_pdu(data)
        ):
            return None
        answer = self._answers.answer(self._client.asker, data, self._operations)
        self._messages += answer is not None
        return answer

    def receive(self, data: bytes) -> list[Action]:
        """Take octets from the client."""
        if self._state is State.CLOSED:
            return []
        if self._state is State.STARTING_TLS:
            return self._disconnect(ResultCode.PROTOCOL_ERROR, "octets in clear after StartTLS")
        self._framer.feed(data)
        return self._advance()

    def proceed(self) -> list[Action]:
        """Go on with requests that were left waiting, so that their answers should not pile up."""
        return self._advance() if self._has_more else []

    def end_of_input(self) -> list[Action]:
        """Take notice that the client will send no more; what it waits for it still gets."""
        self._input_ended = True
        return self._advance()

    def looked_up(self, operation: Operation, outcomes: Sequence[Outcome]) -> list[Action]:
        """Answer an operation with what became of its questions; called once for each `LookUp`."""
        if not self._operations.lookup_ended(operation):
            return self._advance()
        responses = operation.plan.responses(operation.message_id, outcomes)
        if operation.ticket is not None and self._answers is not None:
            self._answers.remember(operation.ticket, operation.plan.questions, outcomes, responses)
        return self._end(operation, responses)

    def late(self, operation: Operation) -> list[Action]:
        """Answer an operation whose time is over; its lookup may go on."""
        if not self._operations.is_under_way(operation):
            return []
        return self._end(operation, operation.plan.ending(operation.message_id, operation.when_late))

    def authenticated(self, gateway: Gateway | None) -> list[Action]:
        """Answer a bind: as whom, or as nobody because the credentials are wrong."""
        checked = self._checking
        if self._state is not State.AUTHENTICATING or checked is None:
            return []
        if gateway is None or not checked.accepts(gateway):
            self._wrong_credentials += 1
            actions = self._answer_bind(WRONG_CREDENTIALS)
            if self._wrong_credentials >= self._settings.failed_binds:
                actions += self._disconnect(ResultCode.UNWILLING_TO_PERFORM, "too many wrong credentials")
            return actions + self._advance()
        self._wrong_credentials = 0
        self._client.become(gateway, checked)
        self._framer.limit = self._client.pdu_limit
        return self._answer_bind(SUCCESS) + self._advance()

    def authentication_failed(self, error: BaseException) -> list[Action]:
        """Answer a bind whose credentials could not be checked."""
        if self._state is not State.AUTHENTICATING:
            return []
        return self._answer_bind(result_of_failure(error)) + self._advance()

    def revised(self, gateway: Gateway | None) -> list[Action]:
        """Go on with what the gateway is now; end the session if its credential is good no more.

        Whatever the client waits for ends first: some clients never notice that a connection was closed.
        """
        if self._client.credential is None or self._state is State.CLOSED:
            return []
        if gateway is not None:
            self._client.asker = gateway
            return []
        result = Result(code=ResultCode.STRONGER_AUTH_REQUIRED, diagnostic="the credentials are good no more")
        ended: list[Action] = [
            Send(data=operation.plan.ending(operation.message_id, result)) for operation in self._operations
        ]
        return ended + self._disconnect(result.code, result.diagnostic)

    def presented(self, certificate: bytes) -> None:
        """Take notice that the client has shown a certificate of this SHA-256, and that it has the key."""
        self._client.present(certificate)

    def tls_established(self) -> list[Action]:
        """Go on under TLS, as nobody."""
        if self._state is State.STARTING_TLS:
            self._state = State.OPEN
        self._client.secure()
        self._framer.limit = self._client.pdu_limit
        return []

    def shut_down(self, code: ResultCode, reason: str) -> list[Action]:
        """End the session from this side."""
        return [] if self._state is State.CLOSED else self._disconnect(code, reason)

    def expire(self) -> list[Action]:
        """End a session in which nothing happens; without a notice, which not every client understands."""
        return self._close("nothing happened for too long")

    def lost(self) -> None:
        """Take notice that the connection is gone."""
        self._close("the connection is gone")

    def _advance(self) -> list[Action]:
        """Carry out requests as long as there are any and none of them has to be waited for."""
        actions: list[Action] = []
        room = self._settings.octets_at_once
        try:
            while self.wants_octets and room > 0:
                pdu = self._framer.next_pdu()
                if pdu is None:
                    break
                self._messages += 1
                begun = self._answer_or_begin(pdu)
                room -= sum([len(action.data) for action in begun if isinstance(action, Send)])
                actions += begun
        except MalformedPdu as malformed:
            actions += self._disconnect(ResultCode.PROTOCOL_ERROR, malformed.reason)
        self._has_more = room <= 0 and self._state is State.OPEN
        if self._input_ended and self.is_idle and self._state is State.OPEN and not self._has_more:
            actions += self._close("the client is done")
        return actions

    def _answer_or_begin(self, pdu: bytes) -> list[Action]:
        """Answer a search that is remembered at once, and carry out everything else."""
        if self._answers is None:
            return self._carry_out(read_message(pdu), ticket=None)
        recalled = self._answers.recall(self._client.asker, pdu, self._operations)
        if isinstance(recalled, bytes):
            return [Send(data=recalled)]
        return self._carry_out(read_message(pdu), ticket=recalled)

    def _carry_out(self, message: Message, ticket: Ticket | None) -> list[Action]:
        if message.message_id in self._operations:
            raise MalformedPdu("a message identifier that is in use")
        try:
            return self._take_up(message, ticket)
        except RequestRefused as refused:
            return _answer(message, Result(code=refused.code, diagnostic=refused.reason))

    def _take_up(self, message: Message, ticket: Ticket | None) -> list[Action]:
        message_id, request = message.message_id, message.request
        # Controls mean nothing where there is no response (RFC 4511 section 4.1.11).
        has_response = not isinstance(request, UnbindRequest | AbandonRequest)
        page = read_controls(request, message.controls) if has_response else None
        actions: list[Action]
        match request:
            case SearchRequest():
                actions = self._search(message_id, request, page, ticket)
            case BindRequest():
                actions = self._bind_when_alone(message_id, request)
            case CompareRequest():
                plan = plan_compare(self._client.tree, request, self._client.asker)
                actions = self._begin(message_id, plan, ResponseTag.COMPARE, time_limit=0)
            case ExtendedRequest():
                actions = self._extended(message_id, request)
            case AbandonRequest():
                self._operations.drop(request.message_id)
                actions = []
            case UnbindRequest():
                actions = self._close("the client unbound")
            case Unacceptable():
                actions = _answer(message, Result(code=request.code, diagnostic=request.reason))
        return actions

    # Operations that wait for answers.

    def _search(
        self, message_id: int, request: SearchRequest, page: PageWanted | None, ticket: Ticket | None
    ) -> list[Action]:
        search = plan_search(self._client.tree, request, self._client.asker)
        plan: Plan | Result = search
        if not isinstance(search, Result):
            # What is found without asking anybody is not remembered: nobody announces that it changed.
            ticket = None if search.fixed else ticket
            if page is not None:
                self._pages = self._pages or Pages()
                plan = self._pages.paged(search, request, page)
        limit = request.time_limit
        return self._begin(message_id, plan, ResponseTag.SEARCH_DONE, time_limit=limit, ticket=ticket)

    def _begin(
        self,
        message_id: int,
        plan: Plan | Result,
        response: ResponseTag,
        *,
        time_limit: int,
        ticket: Ticket | None = None,
    ) -> list[Action]:
        if isinstance(plan, Result):
            return [Send(data=write_result(message_id, response, plan))]
        if not plan.questions:
            return [Send(data=plan.responses(message_id, ()))]
        operation = self._operations.begin(message_id, plan, time_limit=time_limit, ticket=ticket)
        return [LookUp(operation=operation)]

    def _end(self, operation: Operation, responses: bytes) -> list[Action]:
        self._operations.drop(operation.message_id)
        actions: list[Action] = [Send(data=responses)]
        if self._bind is not None and not self._operations:
            _, request = self._bind
            actions += self._begin_bind(request)
        return actions + self._advance()

    # Who is asking.

    def _bind_when_alone(self, message_id: int, request: BindRequest) -> list[Action]:
        """Let earlier operations complete first (RFC 4511 section 4.2.1)."""
        self._bind = message_id, request
        return [] if self._operations else self._begin_bind(request)

    def _begin_bind(self, request: BindRequest) -> list[Action]:
        self._client.become_nobody()
        self._framer.limit = self._client.pdu_limit
        match self._client.judge(request):
            case Refuse(result=result):
                return self._answer_bind(result)
            case Anonymously():
                return self._answer_bind(SUCCESS)
            case Check(gateway=gateway, token=token):
                return self._authenticate(Authenticate(gateway=gateway, token=token))
            case CheckCertificate(sha256=sha256, gateway=asserted):
                return self._authenticate(AuthenticateCertificate(sha256=sha256, gateway=asserted))

    def _authenticate(self, action: Authenticate | AuthenticateCertificate) -> list[Action]:
        self._state = State.AUTHENTICATING
        self._checking = action
        return [action]

    def _answer_bind(self, result: Result) -> list[Action]:
        answered, self._bind, self._checking = self._bind, None, None
        self._state = State.OPEN
        if answered is None:
            return []
        return [Send(data=write_result(answered[0], ResponseTag.BIND, result))]

    # Extended operations.

    def _extended(self, message_id: int, request: ExtendedRequest) -> list[Action]:
        if request.oid == START_TLS and self._offers_tls:
            return self._begin_tls(message_id)
        if request.oid == WHO_AM_I:
            identity = ""
            if isinstance(self.asker, Gateway):
                identity = f"dn:{self._client.tree.gateway_name(self.asker.name)}"
            return [Send(data=write_extended(message_id, SUCCESS, value=identity.encode()))]
        if request.oid == CANCEL:
            return self._cancel(message_id, message_to_cancel(request))
        unsupported = Result(code=ResultCode.PROTOCOL_ERROR, diagnostic="not a supported extended operation")
        return [Send(data=write_extended(message_id, unsupported))]

    def _cancel(self, message_id: int, cancelled: int) -> list[Action]:
        """End an operation at its client's wish (RFC 3909). Its lookup goes on, as after an abandon."""
        operation = self._operations.drop(cancelled)
        if operation is None:
            # What has its answer is forgotten, so that it is too late cannot be told from that it never was.
            code = ResultCode.CANNOT_CANCEL if cancelled == message_id else ResultCode.NO_SUCH_OPERATION
            return [Send(data=write_extended(message_id, Result(code=code)))]
        ending = operation.plan.ending(cancelled, Result(code=ResultCode.CANCELED))
        return [Send(data=ending), Send(data=write_extended(message_id, SUCCESS))]

    @property
    def _offers_tls(self) -> bool:
        return self._start_tls is StartTls.OFFERED or self._client.is_protected

    def _begin_tls(self, message_id: int) -> list[Action]:
        if self._client.is_protected or self._operations:
            # RFC 4511 section 4.14.1: TLS is up already, or responses are outstanding.
            refusal = Result(code=ResultCode.OPERATIONS_ERROR)
            return [Send(data=write_extended(message_id, refusal, name=START_TLS))]
        if self._framer.pending:
            # Octets in clear would be read after the handshake as if they had come under TLS.
            raise MalformedPdu("octets in clear after StartTLS")
        self._state = State.STARTING_TLS
        return [Send(data=write_extended(message_id, SUCCESS, name=START_TLS)), BeginTls()]

    # The end.

    def _disconnect(self, code: ResultCode, reason: str) -> list[Action]:
        notice = write_notice_of_disconnection(Result(code=code, diagnostic=reason))
        return [Send(data=notice), *self._close(reason)]

    def _close(self, reason: str) -> list[Action]:
        self._state = State.CLOSED
        self._operations.drop_all()
        self._bind = self._checking = None
        return [Close(reason=reason)]


def _answer(message: Message, result: Result) -> list[Action]:
    if message.response is None:
        return []
    return [Send(data=write_result(message.message_id, message.response, result))]
