"""Writing responses, read back by pyasn1 with ldap3's transcription of RFC 4511's ASN.1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.protocol.rfc4511 import LDAPMessage
from pyasn1.codec.ber import decoder
from pyasn1.type.base import Asn1Item

from directory.ldap.ber import octet_string, sequence
from directory.ldap.codes import NOTICE_OF_DISCONNECTION, ResponseTag, ResultCode
from directory.ldap.responses import (
    SUCCESS,
    Result,
    results_written,
    write_entry,
    write_extended,
    write_notice_of_disconnection,
    write_result,
)

NAMES = {
    ResponseTag.BIND: "bindResponse",
    ResponseTag.SEARCH_DONE: "searchResDone",
    ResponseTag.MODIFY: "modifyResponse",
    ResponseTag.ADD: "addResponse",
    ResponseTag.DELETE: "delResponse",
    ResponseTag.MODIFY_DN: "modDNResponse",
    ResponseTag.COMPARE: "compareResponse",
    ResponseTag.EXTENDED: "extendedResp",
}


def decoded(written: bytes) -> tuple[int, str, Asn1Item]:
    envelope, rest = decoder.decode(written, asn1Spec=LDAPMessage())
    assert not rest
    operation = envelope["protocolOp"]
    return int(envelope["messageID"]), operation.getName(), operation.getComponent()


@pytest.mark.parametrize("tag", sorted(NAMES))
@pytest.mark.parametrize(
    "result",
    [
        SUCCESS,
        Result(code=ResultCode.NO_SUCH_OBJECT, matched_name="ou=people,o=directory"),
        Result(code=ResultCode.OTHER, diagnostic="an internal error " * 20),
    ],
)
def test_another_implementation_reads_a_result(tag: ResponseTag, result: Result) -> None:
    message_id, name, body = decoded(write_result(300, tag, result))

    assert (message_id, name) == (300, NAMES[tag])
    assert int(body["resultCode"]) == result.code
    assert str(body["matchedDN"]) == result.matched_name
    assert str(body["diagnosticMessage"]) == result.diagnostic


def test_another_implementation_reads_an_entry() -> None:
    entry = sequence(octet_string("o=directory"), sequence(), tag=ResponseTag.SEARCH_ENTRY)

    message_id, name, body = decoded(write_entry(5, entry))

    assert (message_id, name) == (5, "searchResEntry")
    assert str(body["object"]) == "o=directory"


def test_an_unsupported_extended_operation_is_answered_without_a_name() -> None:
    _, _, body = decoded(write_extended(9, Result(code=ResultCode.PROTOCOL_ERROR)))

    assert not body["responseName"].hasValue()
    assert not body["responseValue"].hasValue()


def test_an_extended_response_may_have_a_name_and_an_empty_value() -> None:
    _, _, body = decoded(write_extended(9, SUCCESS, name="1.2.3", value=b""))

    assert str(body["responseName"]) == "1.2.3"
    assert bytes(body["responseValue"]) == b""


def test_the_notice_of_disconnection_has_message_identifier_0() -> None:
    notice = Result(code=ResultCode.PROTOCOL_ERROR, diagnostic="not an LDAP message")
    message_id, name, body = decoded(write_notice_of_disconnection(notice))

    assert (message_id, name) == (0, "extendedResp")
    assert str(body["responseName"]) == NOTICE_OF_DISCONNECTION
    assert int(body["resultCode"]) == ResultCode.PROTOCOL_ERROR


@given(st.integers(min_value=1, max_value=2**31 - 1))
def test_every_message_identifier_comes_back(message_id: int) -> None:
    assert decoded(write_result(message_id, ResponseTag.SEARCH_DONE, SUCCESS))[0] == message_id


def test_every_result_is_counted_by_operation_and_code() -> None:
    before = results_written()

    write_result(1, ResponseTag.SEARCH_DONE, SUCCESS)
    write_result(2, ResponseTag.SEARCH_DONE, Result(code=ResultCode.BUSY))
    write_notice_of_disconnection(Result(code=ResultCode.PROTOCOL_ERROR))

    grown = {key: count - before.get(key, 0) for key, count in results_written().items()}
    assert {key: count for key, count in grown.items() if count} == {
        ("search_done", "0"): 1,
        ("search_done", "51"): 1,
        ("extended", "2"): 1,
    }
