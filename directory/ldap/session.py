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
from typing import Final

from directory.access import may_read_anonymously
from directory.callers import Anonymous, Asker, Gateway
from directory.ldap.actions import Action, Authenticate, BeginTls, Close, LookUp, Operation, Send
from directory.ldap.binding import (
    WRONG_CREDENTIALS,
    Anonymously,
    Check,
    Circumstances,
    Protection,
    Refuse,
    judge_bind,
)
from directory.ldap.codes import MANAGE_DSA_IT, START_TLS, WHO_AM_I, ResponseTag, ResultCode
from directory.ldap.comparison import plan_compare
from directory.ldap.errors import MalformedPdu, RequestRefused
from directory.ldap.framing import Framer
from directory.ldap.plans import Plan
from directory.ldap.requests import (
    AbandonRequest,
    BindRequest,
    CompareRequest,
    Control,
    ExtendedRequest,
    Message,
    SearchRequest,
    Unacceptable,
    UnbindRequest,
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

_CONTROLS: Final = frozenset({MANAGE_DSA_IT})
"""There are no referrals to manage, so that one is honoured by doing nothing (RFC 3296 section 3)."""


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
    ) -> None:
        self._tree = tree
        self._settings = settings
        self._peer_address = peer_address
        self._protection = protection
        self._start_tls = start_tls
        self._nobody = Anonymous(may_read=may_read_anonymously(settings.anonymous_read, peer_address))
        self._asker: Asker = self._nobody
        self._framer = Framer(settings.anonymous_pdu_limit)
        self._state = State.OPEN
        self._operations: dict[int, Operation] = {}
        self._lookups = 0
        """Lookups under way, among them those whose answer nobody waits for any more."""
        self._bind: tuple[int, BindRequest] | None = None
        """A bind request that waits for earlier operations, or for its own answer."""
        self._wrong_credentials = 0
        self._input_ended = False

    @property
    def state(self) -> State:
        """What the session is doing."""
        return self._state

    @property
    def asker(self) -> Asker:
        """On whose behalf requests are carried out."""
        return self._asker

    @property
    def is_idle(self) -> bool:
        """Whether the client waits for nothing."""
        return not self._operations and self._bind is None

    @property
    def wants_octets(self) -> bool:
        """Whether requests would be carried out now."""
        room = self._lookups < self._settings.operations_per_connection
        return self._state is State.OPEN and self._bind is None and room

    def receive(self, data: bytes) -> list[Action]:
        """Take octets from the client."""
        if self._state is State.CLOSED:
            return []
        if self._state is State.STARTING_TLS:
            return self._disconnect(ResultCode.PROTOCOL_ERROR, "octets in clear after StartTLS")
        self._framer.feed(data)
        return self._advance()

    def end_of_input(self) -> list[Action]:
        """Take notice that the client will send no more; what it waits for it still gets."""
        self._input_ended = True
        return self._advance()

    def looked_up(self, operation: Operation, outcomes: Sequence[Outcome]) -> list[Action]:
        """Answer an operation with what became of its questions; called once for each `LookUp`."""
        self._lookups -= 1
        if not self._is_under_way(operation):
            return self._advance()
        return self._end(operation, operation.plan.responses(operation.message_id, outcomes))

    def late(self, operation: Operation) -> list[Action]:
        """Answer an operation whose time is over; its lookup may go on."""
        if not self._is_under_way(operation):
            return []
        return self._end(operation, operation.plan.ending(operation.message_id, operation.when_late))

    def authenticated(self, gateway: Gateway | None) -> list[Action]:
        """Answer a bind: as whom, or as nobody because the credentials are wrong."""
        if self._state is not State.AUTHENTICATING:
            return []
        if gateway is None:
            self._wrong_credentials += 1
            actions = self._answer_bind(WRONG_CREDENTIALS)
            if self._wrong_credentials >= self._settings.failed_binds:
                actions += self._disconnect(ResultCode.UNWILLING_TO_PERFORM, "too many wrong credentials")
            return actions + self._advance()
        self._wrong_credentials = 0
        self._asker = gateway
        self._framer.limit = self._settings.authenticated_pdu_limit
        return self._answer_bind(SUCCESS) + self._advance()

    def authentication_failed(self, error: BaseException) -> list[Action]:
        """Answer a bind whose credentials could not be checked."""
        if self._state is not State.AUTHENTICATING:
            return []
        return self._answer_bind(result_of_failure(error)) + self._advance()

    def tls_established(self) -> list[Action]:
        """Go on under TLS, as nobody (RFC 4513 section 3.1.1): what was agreed in clear may be forged."""
        if self._state is State.STARTING_TLS:
            self._state = State.OPEN
        self._protection = Protection.TLS
        self._become_nobody()
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
        try:
            while self.wants_octets:
                pdu = self._framer.next_pdu()
                if pdu is None:
                    break
                actions += self._carry_out(read_message(pdu))
        except MalformedPdu as malformed:
            actions += self._disconnect(ResultCode.PROTOCOL_ERROR, malformed.reason)
        if self._input_ended and self.is_idle and self._state is State.OPEN:
            actions += self._close("the client is done")
        return actions

    def _carry_out(self, message: Message) -> list[Action]:
        message_id, request = message.message_id, message.request
        if message_id in self._operations:
            raise MalformedPdu("a message identifier that is in use")
        refusal = _refusal_of_controls(message.controls)
        actions: list[Action]
        match request:
            # Criticality means nothing where there is no response (RFC 4511 section 4.1.11).
            case UnbindRequest():
                actions = self._close("the client unbound")
            case AbandonRequest():
                self._operations.pop(request.message_id, None)
                actions = []
            case _ if refusal is not None:
                actions = _answer(message, refusal)
            case SearchRequest():
                actions = self._search(message_id, request)
            case BindRequest():
                actions = self._bind_when_alone(message_id, request)
            case CompareRequest():
                plan = plan_compare(self._tree, request, self._asker)
                actions = self._begin(message_id, plan, ResponseTag.COMPARE, time_limit=0)
            case ExtendedRequest():
                actions = self._extended(message_id, request)
            case Unacceptable():
                actions = _answer(message, Result(code=request.code, diagnostic=request.reason))
        return actions

    # Operations that wait for answers.

    def _search(self, message_id: int, request: SearchRequest) -> list[Action]:
        try:
            plan = plan_search(self._tree, request, self._asker)
        except RequestRefused as refused:
            plan = Result(code=refused.code, diagnostic=refused.reason)
        return self._begin(message_id, plan, ResponseTag.SEARCH_DONE, time_limit=request.time_limit)

    def _begin(
        self, message_id: int, plan: Plan | Result, response: ResponseTag, *, time_limit: int
    ) -> list[Action]:
        if isinstance(plan, Result):
            return [Send(data=write_result(message_id, response, plan))]
        if not plan.questions:
            return [Send(data=plan.responses(message_id, ()))]
        seconds, code = self._settings.answer_within, ResultCode.BUSY
        if 0 < time_limit <= seconds:
            seconds, code = time_limit, ResultCode.TIME_LIMIT_EXCEEDED
        operation = Operation(message_id=message_id, plan=plan, seconds=seconds, when_late=Result(code=code))
        self._operations[message_id] = operation
        self._lookups += 1
        return [LookUp(operation=operation)]

    def _is_under_way(self, operation: Operation) -> bool:
        return self._operations.get(operation.message_id) is operation

    def _end(self, operation: Operation, responses: bytes) -> list[Action]:
        del self._operations[operation.message_id]
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
        self._become_nobody()
        circumstances = Circumstances(peer_address=self._peer_address, protection=self._protection)
        match judge_bind(request, circumstances, self._settings, self._tree):
            case Refuse(result=result):
                return self._answer_bind(result)
            case Anonymously():
                return self._answer_bind(SUCCESS)
            case Check(gateway=gateway, token=token):
                self._state = State.AUTHENTICATING
                return [Authenticate(gateway=gateway, token=token)]

    def _answer_bind(self, result: Result) -> list[Action]:
        answered, self._bind = self._bind, None
        self._state = State.OPEN
        if answered is None:
            return []
        return [Send(data=write_result(answered[0], ResponseTag.BIND, result))]

    def _become_nobody(self) -> None:
        self._asker = self._nobody
        self._framer.limit = self._settings.anonymous_pdu_limit

    # Extended operations.

    def _extended(self, message_id: int, request: ExtendedRequest) -> list[Action]:
        if request.oid == START_TLS and self._offers_tls:
            return self._begin_tls(message_id)
        if request.oid == WHO_AM_I:
            identity = ""
            if isinstance(self._asker, Gateway):
                identity = f"dn:{self._tree.gateway_name(self._asker.name)}"
            return [Send(data=write_extended(message_id, SUCCESS, value=identity.encode()))]
        unsupported = Result(code=ResultCode.PROTOCOL_ERROR, diagnostic="not a supported extended operation")
        return [Send(data=write_extended(message_id, unsupported))]

    @property
    def _offers_tls(self) -> bool:
        return self._start_tls is StartTls.OFFERED or self._protection is Protection.TLS

    def _begin_tls(self, message_id: int) -> list[Action]:
        if self._protection is Protection.TLS or self._operations:
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
        self._operations.clear()
        self._bind = None
        return [Close(reason=reason)]


def _refusal_of_controls(controls: tuple[Control, ...]) -> Result | None:
    if all(control.oid in _CONTROLS for control in controls if control.critical):
        return None
    return Result(code=ResultCode.UNAVAILABLE_CRITICAL_EXTENSION)


def _answer(message: Message, result: Result) -> list[Action]:
    if message.response is None:
        return []
    return [Send(data=write_result(message.message_id, message.response, result))]
