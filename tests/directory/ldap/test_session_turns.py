"""A session that remembers answers, and that takes turns with others."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from directory.ldap.actions import Action, LookUp, Send
from directory.ldap.answers import AnswerCache
from directory.ldap.binding import Protection
from directory.ldap.session import Session
from directory.ldap.settings import LdapSettings, StartTls
from directory.ldap.tree import Tree
from directory.lookup import Answer
from tests.directory.builders import a_gateway
from tests.directory.clocks import StoppedClock
from tests.directory.ldap.memory import BIND_NAME, TOKEN, absent, found
from tests.directory.ldap.wire import ReadResult, bind, mail, present, responses, search, unbind

SETTINGS = LdapSettings()


def a_cache() -> AnswerCache:
    return AnswerCache(octets=1 << 20, clock=StoppedClock(), is_current=lambda: True)


def a_session(answers: AnswerCache | None, settings: LdapSettings = SETTINGS) -> Session:
    session = Session(
        tree=Tree(settings.suffix, StartTls.UNAVAILABLE),
        settings=settings,
        peer_address="127.0.0.1",
        protection=Protection.NONE,
        start_tls=StartTls.UNAVAILABLE,
        answers=answers,
    )
    session.receive(bind(BIND_NAME, TOKEN))
    session.authenticated(a_gateway())
    return session


def sent(actions: list[Action]) -> bytes:
    return b"".join(action.data for action in actions if isinstance(action, Send))


def asked(session: Session, pdu: bytes, answer: Answer | None = None) -> bytes:
    """Return what is sent; a lookup is answered with this."""
    actions = session.receive(pdu)
    octets = sent(actions)
    for action in actions:
        if isinstance(action, LookUp):
            octets += sent(session.looked_up(action.operation, [answer or found()]))
    return octets


@given(first=st.integers(1, 2**31 - 1), second=st.integers(1, 2**31 - 1))
def test_what_is_remembered_is_answered_octet_for_octet_as_what_is_looked_up(first: int, second: int) -> None:
    answers = a_cache()
    asked(a_session(answers), search(mail(), message_id=first))

    actions = a_session(answers).receive(search(mail(), message_id=second))

    assert not any(isinstance(action, LookUp) for action in actions)
    assert sent(actions) == asked(a_session(None), search(mail(), message_id=second))


def test_what_holds_entries_that_nobody_was_asked_for_is_looked_up_every_time() -> None:
    session = a_session(a_cache())
    everything = search(present("objectClass"), base="o=directory")
    with_alice = search(b"\xa1" + bytes([len(mail() + present("ou"))]) + mail() + present("ou"), message_id=2)

    asked(session, everything)
    before = asked(session, with_alice)
    actions = session.receive(with_alice)

    assert any(isinstance(action, LookUp) for action in actions)
    assert len(responses(before)) > 2


def test_a_refusal_is_looked_up_again() -> None:
    session = a_session(a_cache())
    asked(session, search(mail(), message_id=2), absent())

    assert any(isinstance(action, LookUp) for action in session.receive(search(mail(), message_id=3)))


def test_a_message_identifier_in_use_ends_the_session_though_the_answer_is_remembered() -> None:
    session = a_session(a_cache())
    asked(session, search(mail(), message_id=2))
    session.receive(search(mail("berta@example.com"), message_id=3))

    (notice,) = responses(sent(session.receive(search(mail(), message_id=3))))

    assert isinstance(notice, ReadResult)
    assert notice.message_id == 0


def test_who_asks_for_much_at_once_gets_it_in_turns_and_all_of_it() -> None:
    session = a_session(a_cache(), replace(SETTINGS, octets_at_once=4096))
    one = asked(session, search(mail(), message_id=2))
    pipelined = b"".join(search(mail(), message_id=number) for number in range(1, 101))

    turns = [sent(session.receive(pipelined))]
    while session.has_more:
        turns.append(sent(session.proceed()))

    assert max(map(len, turns)) < 4096 + len(one)
    results = [item for item in responses(b"".join(turns)) if isinstance(item, ReadResult)]
    assert [result.message_id for result in results] == list(range(1, 101))


def test_who_is_done_before_his_turn_still_gets_everything() -> None:
    session = a_session(a_cache(), replace(SETTINGS, octets_at_once=1))
    asked(session, search(mail(), message_id=2))
    first = sent(session.receive(search(mail(), message_id=3) + search(mail(), message_id=4)))

    rest = sent(session.end_of_input())
    while session.has_more:
        rest += sent(session.proceed())

    results = [item for item in responses(first + rest) if isinstance(item, ReadResult)]
    assert [result.message_id for result in results] == [3, 4]
    assert session.state.value == "closed"


def test_a_session_that_has_ended_has_no_more_turns() -> None:
    session = a_session(a_cache(), replace(SETTINGS, octets_at_once=1))
    asked(session, search(mail(), message_id=2))
    session.receive(search(mail(), message_id=3) + unbind(message_id=4))

    turns = [session.has_more, bool(session.proceed()), session.has_more]

    assert turns == [True, True, False]
    assert session.proceed() == []
