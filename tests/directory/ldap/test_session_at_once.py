"""The short way of a search whose answer is remembered: the same octets as the long one, or not taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.ldap.ber import sequence
from tests.directory.ldap.memory import BIND_NAME, TOKEN
from tests.directory.ldap.test_session_turns import a_cache, a_session, asked, sent
from tests.directory.ldap.wire import bind, mail, search


@given(message_id=st.integers(1, 2**31 - 1))
def test_both_ways_give_the_same_octets(message_id: int) -> None:
    answers = a_cache()
    asked(a_session(answers), search(mail()))

    short = a_session(answers).answer_at_once(search(mail(), message_id=message_id))

    assert short is not None
    assert short == sent(a_session(answers).receive(search(mail(), message_id=message_id)))


def test_a_search_that_is_not_remembered_changes_nothing() -> None:
    answers = a_cache()
    session = a_session(answers)
    before = session.messages

    assert session.answer_at_once(search(mail())) is None

    assert (session.messages, session.is_amid_message) == (before, False)
    assert answers.statistics().misses == 0


@pytest.mark.parametrize(
    "octets", [b"", b"\x30", search(mail())[:-1], search(mail()) * 2, b"\x30\x80\x00\x00"]
)
def test_anything_but_one_whole_message_goes_the_long_way(octets: bytes) -> None:
    answers = a_cache()
    session = a_session(answers)
    asked(session, search(mail()))

    assert session.answer_at_once(octets) is None


def test_what_follows_the_beginning_of_a_message_goes_the_long_way() -> None:
    answers = a_cache()
    session = a_session(answers)
    asked(session, search(mail()))
    session.receive(search(mail(), message_id=8)[:5])

    assert session.answer_at_once(search(mail(), message_id=9)) is None


def test_nothing_is_answered_while_a_bind_is_checked() -> None:
    answers = a_cache()
    session = a_session(answers)
    asked(session, search(mail()))
    session.receive(bind(BIND_NAME, TOKEN))

    assert session.answer_at_once(search(mail())) is None


def test_an_identifier_in_use_goes_the_long_way() -> None:
    answers = a_cache()
    session = a_session(answers)
    asked(session, search(mail()))
    session.receive(search(mail("bob@example.com"), message_id=5))

    assert session.answer_at_once(search(mail(), message_id=5)) is None


def test_nothing_is_answered_after_the_end() -> None:
    answers = a_cache()
    session = a_session(answers)
    asked(session, search(mail()))
    session.lost()

    assert session.answer_at_once(search(mail())) is None


def test_a_message_longer_than_allowed_goes_the_long_way_to_its_refusal() -> None:
    session = a_session(a_cache())

    assert session.answer_at_once(sequence(bytes(300_000))) is None
