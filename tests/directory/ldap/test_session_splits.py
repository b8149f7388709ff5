"""However the octets arrive: the same answers, and never an exception."""

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from directory.ldap.ber import element
from directory.ldap.codes import (
    START_TLS,
    WHO_AM_I,
    RequestTag,
    ResultCode,
)
from directory.ldap.session import State
from directory.ldap.settings import LdapSettings
from tests.directory.ldap.dialogue import Dialogue, a_dialogue, a_session
from tests.directory.ldap.memory import BIND_NAME, TOKEN, Directory
from tests.directory.ldap.wire import (
    DIRMNGR_ADDRESS,
    DIRMNGR_TEXT,
    JNDI_ROOT_DSE,
    THUNDERBIRD_BIND,
    THUNDERBIRD_SEARCH,
    ReadEntry,
    ReadResult,
    Response,
    abandon,
    bind,
    compare,
    extended,
    mail,
    message,
    search,
)

SUCCESS = ResultCode.SUCCESS


def renumbered(pdu: bytes, message_id: int) -> bytes:
    place = pdu.index(b"\x02\x01") + 2
    return pdu[:place] + bytes((message_id,)) + pdu[place + 1 :]


SUFFIX = "dc=example,dc=com"
CONVERSATION = (
    renumbered(THUNDERBIRD_BIND, 1),
    renumbered(THUNDERBIRD_SEARCH, 2),
    bind(f"cn=gw,ou=gateways,{SUFFIX}", TOKEN, message_id=3),
    search(mail("new@example.com"), base=SUFFIX, message_id=4),
    renumbered(DIRMNGR_ADDRESS, 5),
    renumbered(DIRMNGR_TEXT, 6),
    renumbered(JNDI_ROOT_DSE, 7),
    extended(WHO_AM_I, message_id=8),
    search(scope=7, message_id=9),
    bind(BIND_NAME, TOKEN, message_id=10),
)


def converse(pieces: Iterable[bytes]) -> tuple[list[Response], list[str]]:
    directory = Directory()
    client = Dialogue(a_session(settings=LdapSettings(suffix=SUFFIX)), directory)
    seen = client.send_all(pieces)
    assert not seen.closed
    return sorted(seen.responses, key=lambda response: response.message_id), directory.mints


def test_the_conversation_is_as_expected() -> None:
    received, mints = converse(CONVERSATION)

    assert [
        (response.message_id, "entry" if isinstance(response, ReadEntry) else response.code.name)
        for response in received
    ] == [
        (1, "SUCCESS"),
        (2, "entry"),
        (2, "SUCCESS"),
        (3, "SUCCESS"),
        (4, "entry"),
        (4, "SUCCESS"),
        (5, "entry"),
        (5, "SUCCESS"),
        (6, "entry"),
        (6, "SUCCESS"),
        (7, "entry"),
        (7, "SUCCESS"),
        (8, "SUCCESS"),
        (9, "PROTOCOL_ERROR"),
        (10, "INVALID_CREDENTIALS"),  # the name is below another suffix
    ]
    assert mints == ["new@example.com"]


@given(st.lists(st.integers(min_value=1, max_value=2000), max_size=20))
def test_any_split_of_a_conversation_gives_the_same_answers(cuts: list[int]) -> None:
    stream = b"".join(CONVERSATION)
    places = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})
    pieces = (stream[start:stop] for start, stop in pairwise(places))

    assert converse(pieces) == converse(CONVERSATION)


def test_byte_by_byte_gives_the_same_answers() -> None:
    octets = (bytes((octet,)) for octet in b"".join(CONVERSATION))

    assert converse(octets) == converse(CONVERSATION)


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_arbitrary_octets_get_answers_or_a_clean_end(pieces: list[bytes]) -> None:
    client = a_dialogue(Directory())
    seen = client.send_all(pieces)

    assert not seen.closed or not seen.responses or seen.notice.code is ResultCode.PROTOCOL_ERROR
    assert client.session.state in {State.OPEN, State.CLOSED}


requests = st.sampled_from(
    [
        bind(),
        bind(BIND_NAME, TOKEN),
        bind(BIND_NAME, "wrong"),
        search(),
        search(mail("new@example.com")),
        extended(START_TLS),
        extended(WHO_AM_I),
        compare("o=directory"),
        abandon(1),
        message(element(RequestTag.ADD, b"")),
    ]
)


@given(st.lists(requests, max_size=12))
def test_every_request_with_a_response_gets_exactly_one(pdus: list[bytes]) -> None:
    client = a_dialogue(Directory())
    for pdu in pdus:
        seen = client.send(pdu)
        if seen.closed:
            return
        results = [response for response in seen.responses if isinstance(response, ReadResult)]
        assert len(results) == (0 if pdu == abandon(1) else 1)
        if client.session.state is State.STARTING_TLS:
            client.carry_out(client.session.tls_established())
