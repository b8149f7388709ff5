"""Requests as a client writes them and responses as it reads them, with one deviation at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from directory.ldap.ber import BOOLEAN, ENUMERATED, Reader, element, integer, octet_string, sequence
from directory.ldap.codes import (
    CANCEL,
    PAGED_RESULTS,
    RequestTag,
    ResponseTag,
    ResultCode,
    SearchScope,
)

SUFFIX = "o=directory"
CERTIFICATE = "userCertificate;binary"

# What real clients were seen to send, octet by octet.
THUNDERBIRD_BIND = bytes.fromhex("300c020101600702010304008000")
THUNDERBIRD_SEARCH = bytes.fromhex(
    "305c0201026357041164633d6578616d706c652c64633d636f6d0a01020a0100020102020100010100a31904046d61696c"
    "0411616c696365406578616d706c652e636f6d301804167573657263657274696669636174653b62696e617279"
)
DIRMNGR_ADDRESS = bytes.fromhex(
    "3033020101632e04000a01020a0100020100020100010100a31904046d61696c0411616c696365406578616d706c652e636f6d3000"
)
DIRMNGR_TEXT = bytes.fromhex(
    "306f020101636a04000a01020a0100020100020100010100a155a4190402736e30138111616c696365406578616d706c652e636f6d"
    "a138a4190402636e30138111616c696365406578616d706c652e636f6da41b04046d61696c30138111616c69636540657861"
    "6d706c652e636f6d3000"
)
JNDI_ROOT_DSE = bytes.fromhex(
    "3081d90201026381b604000a01000a0103020100020100010100870b6f626a656374636c617373308195040e6e616d696e67"
    "436f6e7465787473040b6f626a656374436c61737304126a61766153657269616c697a656444617461040d6a617661436c61"
    "73734e616d65040b6a617661466163746f7279040c6a617661436f64654261736504146a6176615265666572656e63654164"
    "6472657373040e6a617661436c6173734e616d657304126a61766152656d6f74654c6f636174696f6ea01b30190417322e31"
    "362e3834302e312e3131333733302e332e342e32"
)

# Filters.


def and_(*members: bytes) -> bytes:
    return sequence(*members, tag=0xA0)


def or_(*members: bytes) -> bytes:
    return sequence(*members, tag=0xA1)


def not_(member: bytes) -> bytes:
    return element(0xA2, member)


def assertion(tag: int, attribute: str, value: str | bytes) -> bytes:
    return sequence(octet_string(attribute), octet_string(value), tag=tag)


def equals(attribute: str, value: str | bytes) -> bytes:
    return assertion(0xA3, attribute, value)


def mail(value: str | bytes = "alice@example.com") -> bytes:
    return equals("mail", value)


def present(attribute: str) -> bytes:
    return octet_string(attribute, 0x87)


def substrings(attribute: str, *middle: str, initial: str | None = None, final: str | None = None) -> bytes:
    pieces = [] if initial is None else [octet_string(initial, 0x80)]
    pieces += [octet_string(piece, 0x81) for piece in middle]
    pieces += [] if final is None else [octet_string(final, 0x82)]
    return sequence(octet_string(attribute), sequence(*pieces), tag=0xA4)


def extensible(
    value: str, *, attribute: str | None = None, rule: str | None = None, dn_attributes: bool = False
) -> bytes:
    members = [] if rule is None else [octet_string(rule, 0x81)]
    members += [] if attribute is None else [octet_string(attribute, 0x82)]
    members.append(octet_string(value, 0x83))
    members += [element(0x84, b"\xff")] if dn_attributes else []
    return sequence(*members, tag=0xA9)


# Requests.


def message(operation: bytes, *, message_id: int = 1, controls: bytes = b"") -> bytes:
    return sequence(integer(message_id), operation, controls)


def controls(*members: tuple[str, bool]) -> bytes:
    """Write controls; a criticality of FALSE is written as its absence."""
    written = (
        sequence(octet_string(oid), element(BOOLEAN, b"\xff") if critical else b"")
        for oid, critical in members
    )
    return sequence(*written, tag=0xA0)


def page(size: int, cookie: bytes = b"", *, critical: bool = True) -> bytes:
    """Write the paged results control, alone."""
    value = octet_string(sequence(integer(size), octet_string(cookie)))
    criticality = element(BOOLEAN, b"\xff") if critical else b""
    return sequence(sequence(octet_string(PAGED_RESULTS), criticality, value), tag=0xA0)


def boolean(*, value: bool) -> bytes:
    return element(BOOLEAN, b"\xff" if value else b"\x00")


def search_operation(
    condition: bytes | None = None,
    *,
    base: str | bytes = SUFFIX,
    scope: int = SearchScope.SUBTREE,
    dereference: int = 0,
    size_limit: int = 0,
    time_limit: int = 0,
    types_only: bool = False,
    attributes: tuple[str, ...] = (CERTIFICATE,),
) -> bytes:
    return sequence(
        octet_string(base),
        integer(scope, ENUMERATED),
        integer(dereference, ENUMERATED),
        integer(size_limit),
        integer(time_limit),
        boolean(value=types_only),
        mail() if condition is None else condition,
        sequence(*map(octet_string, attributes)),
        tag=RequestTag.SEARCH,
    )


def search(
    condition: bytes | None = None,
    *,
    message_id: int = 1,
    base: str | bytes = SUFFIX,
    scope: int = SearchScope.SUBTREE,
    dereference: int = 0,
    size_limit: int = 0,
    time_limit: int = 0,
    types_only: bool = False,
    attributes: tuple[str, ...] = (CERTIFICATE,),
    controls: bytes = b"",
) -> bytes:
    operation = search_operation(
        condition,
        base=base,
        scope=scope,
        dereference=dereference,
        size_limit=size_limit,
        time_limit=time_limit,
        types_only=types_only,
        attributes=attributes,
    )
    return message(operation, message_id=message_id, controls=controls)


def bind(
    name: str | bytes = "",
    password: str | bytes = "",
    *,
    message_id: int = 1,
    version: int = 3,
    controls: bytes = b"",
) -> bytes:
    operation = sequence(
        integer(version), octet_string(name), octet_string(password, 0x80), tag=RequestTag.BIND
    )
    return message(operation, message_id=message_id, controls=controls)


def bind_with_sasl(mechanism: str, initial_response: bytes | None = None, *, message_id: int = 1) -> bytes:
    response = b"" if initial_response is None else octet_string(initial_response)
    credentials = sequence(octet_string(mechanism), response, tag=0xA3)
    return message(
        sequence(integer(3), octet_string(""), credentials, tag=RequestTag.BIND), message_id=message_id
    )


def unbind(*, message_id: int = 1) -> bytes:
    return message(element(RequestTag.UNBIND, b""), message_id=message_id)


def abandon(abandoned: int, *, message_id: int = 2) -> bytes:
    return message(integer(abandoned, RequestTag.ABANDON), message_id=message_id)


def compare(
    entry: str, attribute: str = "mail", value: str = "alice@example.com", *, message_id: int = 1
) -> bytes:
    condition = sequence(octet_string(attribute), octet_string(value))
    return message(sequence(octet_string(entry), condition, tag=RequestTag.COMPARE), message_id=message_id)


def extended(oid: str, value: bytes | None = None, *, message_id: int = 1, controls: bytes = b"") -> bytes:
    members = [octet_string(oid, 0x80)] + ([] if value is None else [octet_string(value, 0x81)])
    return message(sequence(*members, tag=RequestTag.EXTENDED), message_id=message_id, controls=controls)


def cancel(cancelled: int, *, message_id: int = 2) -> bytes:
    return extended(CANCEL, sequence(integer(cancelled)), message_id=message_id)


# Responses.


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEntry:
    """A SearchResultEntry as a client sees it."""

    message_id: int
    name: str
    attributes: Mapping[str, list[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadResult:
    """Any response that ends an operation, as a client sees it."""

    message_id: int
    kind: ResponseTag
    code: ResultCode
    matched_name: str = ""
    diagnostic: str = ""
    response_name: str | None = None
    value: bytes | None = None
    controls: Mapping[str, bytes] = field(default_factory=dict)


Response = ReadEntry | ReadResult


def responses(data: bytes) -> list[Response]:
    """Read complete responses; anything else is an error."""
    return list(_responses(Reader(data)))


def _responses(reader: Reader) -> Iterator[Response]:
    while not reader.at_end():
        envelope = reader.constructed()
        message_id = envelope.integer()
        tag = envelope.peek()
        assert tag is not None
        body = envelope.constructed(tag)
        if tag == ResponseTag.SEARCH_ENTRY:
            yield _entry(message_id, body)
        else:
            result = _result(message_id, ResponseTag(tag), body)
            yield replace(result, controls=_controls(envelope)) if not envelope.at_end() else result
        assert envelope.at_end()


def _controls(envelope: Reader) -> dict[str, bytes]:
    members = envelope.constructed(0xA0)
    found: dict[str, bytes] = {}
    while not members.at_end():
        control = members.constructed()
        oid, value = control.text(), control.octets()
        found[oid] = value
        assert control.at_end()
    return found


def _entry(message_id: int, body: Reader) -> ReadEntry:
    name = body.text()
    attributes: dict[str, list[bytes]] = {}
    listed = body.constructed()
    while not listed.at_end():
        attribute = listed.constructed()
        description, values = attribute.text(), attribute.constructed(0x31)
        assert description not in attributes
        attributes[description] = []
        while not values.at_end():
            attributes[description].append(values.octets())
    assert body.at_end()
    return ReadEntry(message_id=message_id, name=name, attributes=attributes)


def _result(message_id: int, kind: ResponseTag, body: Reader) -> ReadResult:
    code = ResultCode(body.integer(ENUMERATED))
    matched_name, diagnostic = body.text(), body.text()
    response_name = body.text(0x8A) if body.peek() == 0x8A else None
    value = body.octets(0x8B) if body.peek() == 0x8B else None
    assert body.at_end()
    return ReadResult(
        message_id=message_id,
        kind=kind,
        code=code,
        matched_name=matched_name,
        diagnostic=diagnostic,
        response_name=response_name,
        value=value,
    )


def only_result(data: bytes) -> ReadResult:
    """Return the result that is all there is."""
    (response,) = responses(data)
    assert isinstance(response, ReadResult)
    return response


def nested(levels: int, tag: int = 0xA2) -> bytes:
    """Write `(mail=…)` below so many connectives, in linear time."""
    inner = mail()
    headers: list[bytes] = []
    length = len(inner)
    for _ in range(levels):
        size = (length.bit_length() + 7) // 8 if length > 0x7F else 0
        header = (
            bytes((tag, length)) if not size else bytes((tag, 0x80 + size)) + length.to_bytes(size, "big")
        )
        headers.append(header)
        length += len(header)
    return b"".join(reversed(headers)) + inner
