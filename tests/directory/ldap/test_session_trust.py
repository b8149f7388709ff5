"""Whom the session believes: binds, StartTLS, and what is forgotten with each."""

import pytest

from directory.access import AnonymousRead
from directory.callers import Anonymous, Gateway
from directory.errors import StoreUnavailable
from directory.ldap.binding import Protection
from directory.ldap.codes import (
    START_TLS,
    WHO_AM_I,
    ResponseTag,
    ResultCode,
)
from directory.ldap.session import State
from directory.ldap.settings import LdapSettings, StartTls
from tests.directory.builders import a_gateway
from tests.directory.ldap.dialogue import REMOTE, a_dialogue
from tests.directory.ldap.memory import BIND_NAME, TOKEN, Directory, absent
from tests.directory.ldap.wire import (
    THUNDERBIRD_BIND,
    ReadResult,
    bind,
    bind_with_sasl,
    extended,
    mail,
    or_,
    search,
)

SUCCESS = ResultCode.SUCCESS


# Who is asking.


@pytest.mark.parametrize(
    ("policy", "peer_address", "may_read"),
    [
        (AnonymousRead.LOOPBACK, "127.0.0.1", True),
        (AnonymousRead.LOOPBACK, REMOTE, False),
        (AnonymousRead.EVERYONE, REMOTE, True),
        (AnonymousRead.NOBODY, "127.0.0.1", False),
    ],
)
def test_without_a_bind_the_asker_is_anonymous(
    policy: AnonymousRead, peer_address: str, *, may_read: bool
) -> None:
    client = a_dialogue(anonymous_read=policy, peer_address=peer_address)

    assert client.session.asker == Anonymous(may_read=may_read)


def test_an_anonymous_bind_succeeds_with_nothing_to_say() -> None:
    assert a_dialogue().send(THUNDERBIRD_BIND).result == ReadResult(
        message_id=1, kind=ResponseTag.BIND, code=SUCCESS
    )


def test_a_gateway_binds_and_mints() -> None:
    directory = Directory()
    client = a_dialogue(directory)
    client.log_in()

    seen = client.send(search(mail("new@example.com")))

    assert len(seen.responses) == 2
    assert directory.mints == ["new@example.com"]
    assert isinstance(client.session.asker, Gateway)


def test_requests_wait_while_a_bind_is_checked() -> None:
    client = a_dialogue()
    client.send(bind(BIND_NAME, TOKEN, message_id=1) + search(message_id=2))
    assert client.session.state is State.AUTHENTICATING
    assert client.operations == []
    assert not client.session.wants_octets

    seen = client.carry_out(client.session.authenticated(a_gateway()))

    assert (seen.result.kind, seen.result.code) == (ResponseTag.BIND, SUCCESS)
    (operation,) = client.operations
    assert operation.plan.questions[0].asker == a_gateway()


def test_a_bind_waits_for_the_operations_before_it() -> None:
    client = a_dialogue()
    client.send(search(message_id=1) + bind(BIND_NAME, TOKEN, message_id=2))
    assert client.authentications == []

    client.answer(client.operations[0], absent())

    assert [action.gateway for action in client.authentications] == ["gw"]


def test_an_anonymous_bind_waits_as_well() -> None:
    client = a_dialogue()
    assert client.send(search(message_id=1) + bind(message_id=2)).responses == []

    seen = client.answer(client.operations[0], absent())

    assert [response.message_id for response in seen.responses] == [1, 2]


def test_a_wrong_token_is_invalid_credentials_and_leaves_nobody() -> None:
    client = a_dialogue(Directory())
    client.log_in()

    assert client.send(bind(BIND_NAME, "wrong")).result.code is ResultCode.INVALID_CREDENTIALS
    assert client.session.asker == Anonymous(may_read=True)


def test_too_many_wrong_tokens_in_a_row_end_the_session() -> None:
    client = a_dialogue(Directory())
    wrong = [client.send(bind(BIND_NAME, "wrong")) for _ in range(LdapSettings().failed_binds)]

    assert [seen.closed for seen in wrong] == [False] * 4 + [True]
    assert isinstance(wrong[-1].responses[0], ReadResult)
    assert wrong[-1].responses[0].code is ResultCode.INVALID_CREDENTIALS
    assert wrong[-1].notice.code is ResultCode.UNWILLING_TO_PERFORM


def test_a_right_token_forgives_the_wrong_ones() -> None:
    client = a_dialogue(Directory())
    for _ in range(3):
        for _ in range(LdapSettings().failed_binds - 1):
            client.send(bind(BIND_NAME, "wrong"))
        client.log_in()

    assert client.session.state is State.OPEN


def test_any_bind_begins_by_making_the_asker_nobody() -> None:
    client = a_dialogue(Directory())
    client.log_in()

    assert client.send(bind_with_sasl("GSSAPI")).result.code is ResultCode.AUTH_METHOD_NOT_SUPPORTED
    assert client.session.asker == Anonymous(may_read=True)


def test_credentials_that_cannot_be_checked_are_a_result() -> None:
    client = a_dialogue()
    client.send(bind(BIND_NAME, TOKEN))

    seen = client.carry_out(client.session.authentication_failed(StoreUnavailable(reason="locked")))

    assert seen.result.code is ResultCode.UNAVAILABLE
    assert client.session.state is State.OPEN


def test_an_authentication_that_ends_after_the_session_changes_nothing() -> None:
    client = a_dialogue()
    client.send(bind(BIND_NAME, TOKEN))
    client.session.lost()

    assert client.session.authenticated(a_gateway()) == []
    assert client.session.authentication_failed(TimeoutError()) == []
    assert client.session.asker == Anonymous(may_read=True)


def test_a_gateway_may_send_longer_messages_than_nobody() -> None:
    long = search(or_(*(mail(b"x" * 600) for _ in range(200))))
    assert 64 * 1024 < len(long) < 256 * 1024
    client = a_dialogue(Directory())
    client.log_in()
    assert client.send(long).result.code is SUCCESS

    assert a_dialogue(Directory()).send(long).notice.code is ResultCode.PROTOCOL_ERROR


def test_who_am_i() -> None:
    client = a_dialogue(Directory())

    assert client.send(extended(WHO_AM_I)).result.value == b""
    client.log_in()
    assert client.send(extended(WHO_AM_I)).result.value == b"dn:cn=gw,ou=gateways,o=directory"


# StartTLS.


def test_start_tls_is_answered_and_begun() -> None:
    client = a_dialogue()
    seen = client.send(extended(START_TLS))

    assert (seen.result.code, seen.result.response_name) == (SUCCESS, START_TLS)
    assert client.tls_begun == 1
    assert client.session.state is State.STARTING_TLS
    assert not client.session.wants_octets


def test_under_tls_everything_begins_anew() -> None:
    client = a_dialogue(Directory())
    client.log_in()
    client.send(extended(START_TLS))
    client.carry_out(client.session.tls_established())

    assert client.session.state is State.OPEN
    assert client.session.asker == Anonymous(may_read=True)
    assert len(client.send(search()).responses) == 2


def test_start_tls_under_tls_is_an_operations_error() -> None:
    client = a_dialogue()
    client.send(extended(START_TLS))
    client.carry_out(client.session.tls_established())
    assert client.send(extended(START_TLS)).result.code is ResultCode.OPERATIONS_ERROR

    ldaps = a_dialogue(protection=Protection.TLS)
    assert ldaps.send(extended(START_TLS)).result.code is ResultCode.OPERATIONS_ERROR


def test_start_tls_while_an_operation_is_under_way_is_an_operations_error() -> None:
    client = a_dialogue()

    assert client.send(search(message_id=1) + extended(START_TLS, message_id=2)).result.code is (
        ResultCode.OPERATIONS_ERROR
    )
    assert client.tls_begun == 0
    assert client.answer(client.operations[0], absent()).result.message_id == 1


def test_start_tls_without_a_certificate_is_not_supported() -> None:
    client = a_dialogue(start_tls=StartTls.UNAVAILABLE)

    result = client.send(extended(START_TLS)).result
    assert (result.code, result.response_name) == (ResultCode.PROTOCOL_ERROR, None)
    assert client.session.state is State.OPEN
