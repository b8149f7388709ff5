"""What does a client ask? Requests of LDAP as values, read from one complete PDU (RFC 4511 section 4).

A request this server understands but does not do becomes `Unacceptable`, which says how it is answered. Only
octets that are no message at all are an error, because only they end the session.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from directory.ldap.ber import BOOLEAN, ENUMERATED, OCTET_STRING, Reader
from directory.ldap.codes import RequestTag, ResponseTag, ResultCode, SearchScope
from directory.ldap.errors import MalformedPdu, RequestRefused
from directory.ldap.filters import Filter, read_filter

MOST_ATTRIBUTES: Final = 256
MOST_CONTROLS: Final = 32
_MOST_DEREFERENCING = 3
_SCOPES: Final = frozenset(SearchScope)
_CONTROLS = 0xA0
_SIMPLE, _SASL = 0x80, 0xA3
_REQUEST_NAME, _REQUEST_VALUE = 0x80, 0x81


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """An extension of a request (RFC 4511 section 4.1.11); `value` is None where it has none."""

    oid: str
    critical: bool
    value: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sasl:
    """How a client authenticates by SASL; `credentials` is None where it sent no initial response."""

    mechanism: str
    credentials: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BindRequest:
    """Wants to be somebody: by a password, by SASL, or by a method that is neither, and unknown."""

    version: int
    name: str
    password: bytes | None = field(default=None, repr=False)
    sasl: Sasl | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnbindRequest:
    """Says good-bye."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """Wants entries. A limit of 0 is none; `time_limit` is in seconds."""

    base: str
    scope: SearchScope
    size_limit: int
    time_limit: int
    types_only: bool
    filter: Filter
    attributes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRequest:
    """Wants to know whether an entry has a value."""

    entry: str
    attribute: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonRequest:
    """Does not want the answer to an earlier request any more."""

    message_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedRequest:
    """Wants what an object identifier names; `value` is None where it has none."""

    oid: str
    value: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unacceptable:
    """A request that is answered with a refusal, whoever asks."""

    code: ResultCode
    reason: str


Request = (
    BindRequest
    | UnbindRequest
    | SearchRequest
    | CompareRequest
    | AbandonRequest
    | ExtendedRequest
    | Unacceptable
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One request in its envelope (RFC 4511 section 4.1.1)."""

    message_id: int
    request: Request
    response: ResponseTag | None
    """What kind of response ends it; unbind and abandon have none."""
    controls: tuple[Control, ...] = ()


_RESPONSES: Final[Mapping[int, ResponseTag]] = {
    RequestTag.BIND: ResponseTag.BIND,
    RequestTag.SEARCH: ResponseTag.SEARCH_DONE,
    RequestTag.MODIFY: ResponseTag.MODIFY,
    RequestTag.ADD: ResponseTag.ADD,
    RequestTag.DELETE: ResponseTag.DELETE,
    RequestTag.MODIFY_DN: ResponseTag.MODIFY_DN,
    RequestTag.COMPARE: ResponseTag.COMPARE,
    RequestTag.EXTENDED: ResponseTag.EXTENDED,
}


def read_message(pdu: bytes) -> Message:
    """Read one complete PDU.

    Raises:
        MalformedPdu: it is not a request in its envelope.
    """
    outermost = Reader(pdu)
    envelope = outermost.constructed()
    if not outermost.at_end():
        raise MalformedPdu("octets after the message")
    message_id = envelope.integer()
    if message_id < 1:
        raise MalformedPdu("a message identifier that is not positive")
    tag = envelope.peek()
    if tag is None or tag not in _REQUESTS:
        raise MalformedPdu("not a request of the protocol")
    response = _RESPONSES.get(tag)
    request, controls = _read_request(envelope, _REQUESTS[tag])
    envelope.skip_rest()
    if response is None and isinstance(request, Unacceptable):
        raise MalformedPdu("a request without a response that cannot be carried out")
    return Message(message_id=message_id, request=request, response=response, controls=controls)


def _read_request(envelope: Reader, read: Callable[[Reader], Request]) -> tuple[Request, tuple[Control, ...]]:
    request: Request
    controls: tuple[Control, ...] = ()
    try:
        # Each of them takes its whole element off the envelope first, so a refusal inside does no harm.
        request = read(envelope)
    except RequestRefused as refused:
        request = Unacceptable(code=refused.code, reason=refused.reason)
    try:
        controls = _read_controls(envelope)
    except RequestRefused as refused:
        request = Unacceptable(code=refused.code, reason=refused.reason)
    return request, controls


def _read_controls(envelope: Reader) -> tuple[Control, ...]:
    if envelope.peek() != _CONTROLS:
        return ()
    members = envelope.constructed(_CONTROLS)
    controls: list[Control] = []
    while not members.at_end():
        control = members.constructed()
        oid = control.text()
        critical = control.boolean() if control.peek() == BOOLEAN else False
        value = control.octets() if control.peek() == OCTET_STRING else None
        control.skip_rest()
        controls.append(Control(oid=oid, critical=critical, value=value))
        if len(controls) > MOST_CONTROLS:
            raise _too_much("too many controls")
    return tuple(controls)


def _read_bind(envelope: Reader) -> BindRequest:
    body = envelope.constructed(RequestTag.BIND)
    version = body.integer()
    name = body.text()
    method = body.peek()
    password: bytes | None = None
    sasl: Sasl | None = None
    if method == _SIMPLE:
        password = body.octets(_SIMPLE)
    elif method == _SASL:
        sasl = _read_sasl(body.constructed(_SASL))
    else:
        body.skip()
    body.skip_rest()
    return BindRequest(version=version, name=name, password=password, sasl=sasl)


def _read_sasl(members: Reader) -> Sasl:
    mechanism = members.text()
    credentials = members.octets() if members.peek() == OCTET_STRING else None
    members.skip_rest()
    return Sasl(mechanism=mechanism, credentials=credentials)


def _read_unbind(envelope: Reader) -> UnbindRequest:
    if envelope.octets(RequestTag.UNBIND):
        raise MalformedPdu("an unbind request with a content")
    return UnbindRequest()


def _read_search(envelope: Reader) -> SearchRequest:
    body = envelope.constructed(RequestTag.SEARCH)
    base = body.text()
    scope = body.integer(ENUMERATED)
    dereferencing = body.integer(ENUMERATED)
    size_limit, time_limit = body.integer(), body.integer()
    types_only = body.boolean()
    condition = read_filter(body)
    attributes = _read_attributes(body.constructed())
    body.skip_rest()
    if scope not in _SCOPES:
        raise _wrong("a search scope that is not base, one level or subtree")
    if not 0 <= dereferencing <= _MOST_DEREFERENCING:
        raise _wrong("an unknown way of dereferencing aliases")
    if size_limit < 0 or time_limit < 0:
        raise _wrong("a negative limit")
    return SearchRequest(
        base=base,
        scope=SearchScope(scope),
        size_limit=size_limit,
        time_limit=time_limit,
        types_only=types_only,
        filter=condition,
        attributes=attributes,
    )


def _read_attributes(members: Reader) -> tuple[str, ...]:
    attributes: list[str] = []
    while not members.at_end():
        attributes.append(members.text())
        if len(attributes) > MOST_ATTRIBUTES:
            raise _too_much("too many attributes")
    return tuple(attributes)


def _read_compare(envelope: Reader) -> CompareRequest:
    body = envelope.constructed(RequestTag.COMPARE)
    entry = body.text()
    assertion = body.constructed()
    attribute, value = assertion.text(), assertion.octets()
    assertion.skip_rest()
    body.skip_rest()
    return CompareRequest(entry=entry, attribute=attribute, value=value)


def _read_abandon(envelope: Reader) -> AbandonRequest:
    return AbandonRequest(message_id=envelope.integer(RequestTag.ABANDON))


def _read_extended(envelope: Reader) -> ExtendedRequest:
    body = envelope.constructed(RequestTag.EXTENDED)
    oid = body.text(_REQUEST_NAME)
    value = body.octets(_REQUEST_VALUE) if body.peek() == _REQUEST_VALUE else None
    body.skip_rest()
    return ExtendedRequest(oid=oid, value=value)


def _read_write(envelope: Reader) -> Request:
    envelope.skip()
    raise RequestRefused(code=ResultCode.UNWILLING_TO_PERFORM, reason="the directory is read-only")


def _too_much(reason: str) -> RequestRefused:
    return RequestRefused(code=ResultCode.ADMIN_LIMIT_EXCEEDED, reason=reason)


def _wrong(reason: str) -> RequestRefused:
    return RequestRefused(code=ResultCode.PROTOCOL_ERROR, reason=reason)


_REQUESTS: Final[Mapping[int, Callable[[Reader], Request]]] = {
    RequestTag.BIND: _read_bind,
    RequestTag.UNBIND: _read_unbind,
    RequestTag.SEARCH: _read_search,
    RequestTag.MODIFY: _read_write,
    RequestTag.ADD: _read_write,
    RequestTag.DELETE: _read_write,
    RequestTag.MODIFY_DN: _read_write,
    RequestTag.COMPARE: _read_compare,
    RequestTag.ABANDON: _read_abandon,
    RequestTag.EXTENDED: _read_extended,
}


def message_to_cancel(request: ExtendedRequest) -> int:
    """Return which operation a request to cancel means (RFC 3909 section 2.1).

    Raises:
        RequestRefused: it cannot be read.
    """
    try:
        return Reader(request.value or b"").constructed().integer()
    except MalformedPdu as malformed:
        raise RequestRefused(
            code=ResultCode.PROTOCOL_ERROR, reason="an unreadable request to cancel"
        ) from malformed
