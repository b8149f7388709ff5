"""Reading requests: what real clients send, every operation, and agreement with another implementation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.protocol import rfc4511
from pyasn1.codec.ber import encoder
from pyasn1.type.base import Asn1Item

from directory.ldap.ber import element, integer, octet_string, sequence
from directory.ldap.codes import MANAGE_DSA_IT, START_TLS, RequestTag, ResponseTag, ResultCode, SearchScope
from directory.ldap.errors import MalformedPdu
from directory.ldap.filters import Equality, Or, Present, Substrings
from directory.ldap.requests import (
    MOST_ATTRIBUTES,
    MOST_CONTROLS,
    AbandonRequest,
    BindRequest,
    CompareRequest,
    Control,
    ExtendedRequest,
    Message,
    Sasl,
    SearchRequest,
    Unacceptable,
    UnbindRequest,
    read_message,
)
from tests.directory.ldap.wire import (
    DIRMNGR_ADDRESS,
    DIRMNGR_TEXT,
    JNDI_ROOT_DSE,
    THUNDERBIRD_BIND,
    THUNDERBIRD_SEARCH,
    abandon,
    bind,
    bind_with_sasl,
    compare,
    controls,
    extended,
    mail,
    message,
    nested,
    search,
    search_operation,
    unbind,
)

ALICE = Equality(attribute="mail", value=b"alice@example.com")


def request_of(pdu: bytes) -> object:
    return read_message(pdu).request


def refusal_of(pdu: bytes) -> ResultCode:
    request = request_of(pdu)
    assert isinstance(request, Unacceptable)
    return request.code


def test_reads_thunderbirds_bind() -> None:
    assert read_message(THUNDERBIRD_BIND) == Message(
        message_id=1,
        request=BindRequest(version=3, name="", password=b""),
        response=ResponseTag.BIND,
    )


def test_reads_thunderbirds_search() -> None:
    assert read_message(THUNDERBIRD_SEARCH) == Message(
        message_id=2,
        request=SearchRequest(
            base="dc=example,dc=com",
            scope=SearchScope.SUBTREE,
            size_limit=2,
            time_limit=0,
            types_only=False,
            filter=ALICE,
            attributes=("usercertificate;binary",),
        ),
        response=ResponseTag.SEARCH_DONE,
    )


def test_reads_what_dirmngr_asks_for_an_address() -> None:
    request = request_of(DIRMNGR_ADDRESS)

    assert isinstance(request, SearchRequest)
    assert (request.base, request.filter, request.attributes) == ("", ALICE, ())


def test_reads_what_dirmngr_asks_for_a_text() -> None:
    request = request_of(DIRMNGR_TEXT)

    pieces = (b"alice@example.com",)
    assert isinstance(request, SearchRequest)
    assert request.filter == Or(
        filters=(
            Substrings(attribute="sn", middle=pieces),
            Or(
                filters=(
                    Substrings(attribute="cn", middle=pieces),
                    Substrings(attribute="mail", middle=pieces),
                )
            ),
        )
    )


def test_reads_what_jndi_asks_of_the_root_dse() -> None:
    read = read_message(JNDI_ROOT_DSE)

    assert isinstance(read.request, SearchRequest)
    assert read.request.scope is SearchScope.BASE
    assert read.request.filter == Present(attribute="objectclass")
    assert read.request.attributes[:2] == ("namingContexts", "objectClass")
    assert read.controls == (Control(oid=MANAGE_DSA_IT, critical=False),)


@pytest.mark.parametrize(
    ("pdu", "request_"),
    [
        (bind("cn=gw", "secret", version=2), BindRequest(version=2, name="cn=gw", password=b"secret")),
        (bind_with_sasl("EXTERNAL"), BindRequest(version=3, name="", sasl=Sasl(mechanism="EXTERNAL"))),
        (unbind(), UnbindRequest()),
        (abandon(7), AbandonRequest(message_id=7)),
        (extended(START_TLS), ExtendedRequest(oid=START_TLS)),
        (
            compare("cn=x", "cn", "x"),
            CompareRequest(entry="cn=x", attribute="cn", value=b"x"),
        ),
    ],
)
def test_reads_every_operation(pdu: bytes, request_: object) -> None:
    assert request_of(pdu) == request_


def test_a_bind_by_an_unknown_method_has_no_password() -> None:
    pdu = message(sequence(integer(3), octet_string("x"), element(0x85, b"?"), tag=RequestTag.BIND))

    assert request_of(pdu) == BindRequest(version=3, name="x")


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(read_message(bind("cn=gw", "secret")))


@pytest.mark.parametrize(
    ("tag", "response"),
    [
        (RequestTag.MODIFY, ResponseTag.MODIFY),
        (RequestTag.ADD, ResponseTag.ADD),
        (RequestTag.DELETE, ResponseTag.DELETE),
        (RequestTag.MODIFY_DN, ResponseTag.MODIFY_DN),
    ],
)
def test_writes_are_unacceptable(tag: RequestTag, response: ResponseTag) -> None:
    read = read_message(message(element(tag, b"")))

    assert isinstance(read.request, Unacceptable)
    assert (read.response, read.request.code) == (response, ResultCode.UNWILLING_TO_PERFORM)


@pytest.mark.parametrize(
    "pdu",
    [
        search(scope=3),
        search(scope=-1),
        search(dereference=4),
        search(dereference=-1),
        search(size_limit=-1),
        search(time_limit=-1),
        search(base=b"\xff"),
        bind(name=b"\xff"),
    ],
)
def test_a_wrong_value_refuses_the_request_and_not_the_message(pdu: bytes) -> None:
    assert refusal_of(pdu) is ResultCode.PROTOCOL_ERROR


@pytest.mark.parametrize("dereference", [0, 1, 2, 3])
def test_accepts_every_way_of_dereferencing_aliases(dereference: int) -> None:
    assert isinstance(request_of(search(dereference=dereference)), SearchRequest)


@pytest.mark.parametrize(
    "pdu",
    [
        search(nested(16)),
        search(attributes=("a",) * (MOST_ATTRIBUTES + 1)),
        search(controls=controls(*[("1.2", False)] * (MOST_CONTROLS + 1))),
    ],
)
def test_more_than_is_read_is_an_administrative_limit(pdu: bytes) -> None:
    assert refusal_of(pdu) is ResultCode.ADMIN_LIMIT_EXCEEDED


def test_the_controls_of_a_refused_request_are_still_read() -> None:
    read = read_message(search(scope=9, controls=controls(("1.2.3", True))))

    assert read.controls == (Control(oid="1.2.3", critical=True),)


def test_a_control_may_have_a_value_and_an_explicit_default() -> None:
    control = sequence(octet_string("1.2.3"), element(0x01, b"\x00"), octet_string("value"))
    read = read_message(search(controls=sequence(control, tag=0xA0)))

    assert read.controls == (Control(oid="1.2.3", critical=False, value=b"value"),)


def test_an_extended_request_may_have_a_value() -> None:
    operation = sequence(octet_string("1.2", 0x80), octet_string("v", 0x81), tag=RequestTag.EXTENDED)

    assert request_of(message(operation)) == ExtendedRequest(oid="1.2", value=b"v")


def test_unknown_members_at_the_end_are_ignored() -> None:
    body = search_operation()[2:]
    pdu = message(element(RequestTag.SEARCH, body + element(0x8A, b"later")) + element(0x8B, b"later still"))

    assert isinstance(request_of(pdu), SearchRequest)


@pytest.mark.parametrize(
    "pdu",
    [
        b"",
        sequence(),
        sequence(integer(1)),
        message(search_operation(), message_id=0),
        message(search_operation(), message_id=-1),
        sequence(bytes.fromhex("020500ffffffff"), search_operation()),
        sequence(octet_string("1"), search_operation()),
        message(element(0x64, b"")),  # a response
        message(element(0x7F, b"")),
        search() + b"\x00",
        message(element(RequestTag.UNBIND, b"x")),
        message(element(RequestTag.ABANDON, b"")),
        message(element(RequestTag.SEARCH, octet_string(""))),
        message(element(RequestTag.BIND, integer(3) + octet_string(""))),
        message(search_operation() + element(0xA0, b"\x30\x05\x04")),
        unbind()[:-2],
        sequence(
            integer(1), element(RequestTag.UNBIND, b""), controls(*[("1.2", False)] * (MOST_CONTROLS + 1))
        ),
    ],
)
def test_refuses_what_is_no_message(pdu: bytes) -> None:
    with pytest.raises(MalformedPdu):
        read_message(pdu)


# The same requests, written by pyasn1 from ldap3's transcription of RFC 4511's ASN.1.


def ldap3_message(name: str, operation: Asn1Item) -> bytes:
    envelope = rfc4511.LDAPMessage()
    envelope["messageID"] = rfc4511.MessageID(77)
    choice = rfc4511.ProtocolOp()
    choice[name] = operation
    envelope["protocolOp"] = choice
    written: bytes = encoder.encode(envelope)
    return written


@given(
    base=st.text(max_size=20),
    scope=st.sampled_from(SearchScope),
    limits=st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)),
    types_only=st.booleans(),
    value=st.binary(max_size=300),
    attributes=st.lists(st.text(max_size=10), max_size=5),
)
def test_reads_a_search_as_another_implementation_wrote_it(
    base: str,
    scope: SearchScope,
    limits: tuple[int, int],
    types_only: bool,  # noqa: FBT001 - the value of a BOOLEAN
    value: bytes,
    attributes: list[str],
) -> None:
    equality = rfc4511.EqualityMatch()
    equality["attributeDesc"] = rfc4511.AttributeDescription("mail")
    equality["assertionValue"] = rfc4511.AssertionValue(value)
    condition = rfc4511.Filter()
    condition["equalityMatch"] = equality
    selection = rfc4511.AttributeSelection()
    for index, attribute in enumerate(attributes):
        selection[index] = rfc4511.Selector(attribute)
    operation = rfc4511.SearchRequest()
    operation["baseObject"] = rfc4511.LDAPDN(base)
    operation["scope"] = rfc4511.Scope(int(scope))
    operation["derefAliases"] = rfc4511.DerefAliases(3)
    operation["sizeLimit"] = rfc4511.Integer0ToMax(limits[0])
    operation["timeLimit"] = rfc4511.Integer0ToMax(limits[1])
    operation["typesOnly"] = rfc4511.TypesOnly(types_only)
    operation["filter"] = condition
    operation["attributes"] = selection

    assert read_message(ldap3_message("searchRequest", operation)) == Message(
        message_id=77,
        request=SearchRequest(
            base=base,
            scope=scope,
            size_limit=limits[0],
            time_limit=limits[1],
            types_only=types_only,
            filter=Equality(attribute="mail", value=value),
            attributes=tuple(attributes),
        ),
        response=ResponseTag.SEARCH_DONE,
    )


@given(name=st.text(max_size=40), password=st.binary(max_size=200))
def test_reads_a_bind_as_another_implementation_wrote_it(name: str, password: bytes) -> None:
    authentication = rfc4511.AuthenticationChoice()
    authentication["simple"] = rfc4511.Simple(password)
    operation = rfc4511.BindRequest()
    operation["version"] = rfc4511.Version(3)
    operation["name"] = rfc4511.LDAPDN(name)
    operation["authentication"] = authentication

    read = read_message(ldap3_message("bindRequest", operation))

    assert read.request == BindRequest(version=3, name=name, password=password)


@given(st.binary(max_size=100))
def test_arbitrary_octets_end_in_a_message_or_in_a_refusal(data: bytes) -> None:
    try:
        read = read_message(data)
    except MalformedPdu:
        return

    assert read.message_id > 0


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_a_captured_request_with_one_octet_changed_is_a_message_or_a_refusal(place: int, octet: int) -> None:
    for captured in (THUNDERBIRD_BIND, THUNDERBIRD_SEARCH, DIRMNGR_TEXT, JNDI_ROOT_DSE):
        mutated = bytearray(captured)
        mutated[place % len(mutated)] = octet
        try:
            read = read_message(bytes(mutated))
        except MalformedPdu:
            continue
        assert read.message_id > 0


def test_a_filter_nobody_knows_does_not_refuse_the_search() -> None:
    assert isinstance(request_of(search(element(0xAC, mail()))), SearchRequest)
