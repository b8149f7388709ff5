"""Answers page by page: every entry once, in the order of the whole answer, and nothing more than asked."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.ldap.ber import Reader
from directory.ldap.codes import PAGED_RESULTS, ResultCode
from directory.lookup import Intent
from tests.directory.ldap.dialogue import Dialogue, Seen, a_dialogue
from tests.directory.ldap.memory import Directory, absent, deferred
from tests.directory.ldap.wire import ReadEntry, ReadResult, mail, or_, page, present, search

PEOPLE = tuple(f"person{number}@example.com" for number in range(7))
EVERYBODY = or_(*map(mail, PEOPLE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one page showed."""

    names: list[str]
    code: ResultCode
    total: int
    cookie: bytes


def read(seen: Seen) -> Page:
    *entries, done = seen.responses
    assert isinstance(done, ReadResult)
    value = Reader(done.controls[PAGED_RESULTS]).constructed()
    total, cookie = value.integer(), value.octets()
    names = [entry.name for entry in entries if isinstance(entry, ReadEntry)]
    assert len(names) == len(entries)
    return Page(names=names, code=done.code, total=total, cookie=cookie)


def a_page(client: Dialogue, size: int, cookie: bytes = b"", condition: bytes = EVERYBODY) -> Page:
    return read(client.send(search(condition, controls=page(size, cookie))))


def all_pages(client: Dialogue, size: int) -> list[Page]:
    pages = [a_page(client, size)]
    while pages[-1].cookie:
        pages.append(a_page(client, size, pages[-1].cookie))
    return pages


@given(st.integers(min_value=1, max_value=9))
def test_the_pages_together_are_the_whole_answer(size: int) -> None:
    client = a_dialogue(Directory(PEOPLE))
    whole = [entry.name for entry in client.send(search(EVERYBODY)).responses if isinstance(entry, ReadEntry)]

    pages = all_pages(client, size)

    assert [name for one in pages for name in one.names] == whole
    assert [len(one.names) for one in pages[:-1]] == [size] * (len(pages) - 1)
    assert 1 <= len(pages[-1].names) <= size
    assert {(one.code, one.total) for one in pages} == {(ResultCode.SUCCESS, len(PEOPLE))}


def test_the_control_need_not_be_critical() -> None:
    client = a_dialogue(Directory(PEOPLE))

    assert len(read(client.send(search(EVERYBODY, controls=page(2, critical=False)))).names) == 2


def test_evolutions_offline_copy_succeeds_and_shows_no_recipients() -> None:
    client = a_dialogue(Directory(PEOPLE))

    shown = a_page(client, 1000, condition=present("cn"))

    assert (shown.names, shown.code, shown.cookie) == ([], ResultCode.SUCCESS, b"")


def test_size_zero_ends_the_series_and_asks_for_nobody() -> None:
    directory = Directory(PEOPLE)
    client = a_dialogue(directory)
    cookie = a_page(client, 2).cookie
    directory.questions.clear()

    for shown in (a_page(client, 0, cookie), a_page(client, 0), a_page(client, 0, b"invented")):
        assert (shown.names, shown.code, shown.cookie) == ([], ResultCode.SUCCESS, b"")
    assert directory.questions == []


def test_the_size_limit_ends_the_last_page() -> None:
    client = a_dialogue(Directory(PEOPLE))

    first = read(client.send(search(EVERYBODY, size_limit=3, controls=page(2))))
    last = read(client.send(search(EVERYBODY, size_limit=3, controls=page(2, first.cookie))))

    assert (len(first.names), first.code) == (2, ResultCode.SUCCESS)
    assert (len(last.names), last.code, last.cookie) == (1, ResultCode.SIZE_LIMIT_EXCEEDED, b"")


def test_what_went_wrong_is_told_on_the_last_page() -> None:
    client = a_dialogue()
    client.send(search(EVERYBODY, controls=page(3)))
    (operation,) = client.operations

    shown = read(client.answer(operation, *[absent()] * 6, deferred()))

    assert (shown.names, shown.code, shown.cookie) == ([], ResultCode.BUSY, b"")


def refused(client: Dialogue, cookie: bytes, condition: bytes = EVERYBODY) -> ResultCode:
    return client.send(search(condition, controls=page(2, cookie))).result.code


@pytest.mark.parametrize(
    "spoil", [lambda cookie: cookie[:-1], lambda cookie: cookie + b"x", lambda _: b"\x00"]
)
def test_a_cookie_that_is_none_of_ours_is_refused(spoil: object) -> None:
    assert callable(spoil)
    client = a_dialogue(Directory(PEOPLE))

    assert refused(client, spoil(a_page(client, 2).cookie)) is ResultCode.UNWILLING_TO_PERFORM


def test_every_bit_of_a_cookie_counts() -> None:
    client = a_dialogue(Directory(PEOPLE))
    cookie = a_page(client, 2).cookie
    for bit in range(len(cookie) * 8):
        forged = bytearray(cookie)
        forged[bit // 8] ^= 1 << bit % 8
        assert refused(client, bytes(forged)) is ResultCode.UNWILLING_TO_PERFORM


def test_a_cookie_is_good_for_its_search_and_session_only() -> None:
    client = a_dialogue(Directory(PEOPLE))
    cookie = a_page(client, 2).cookie

    assert refused(client, cookie, or_(*map(mail, PEOPLE[1:]))) is ResultCode.UNWILLING_TO_PERFORM
    assert refused(a_dialogue(Directory(PEOPLE)), cookie) is ResultCode.UNWILLING_TO_PERFORM
    assert len(a_page(client, 2, cookie).names) == 2


def test_rights_are_looked_at_anew_with_every_page() -> None:
    directory = Directory(PEOPLE)
    client = a_dialogue(directory)
    client.log_in()
    cookie = a_page(client, 3).cookie
    directory.questions.clear()
    client.session.tls_established()

    a_page(client, 3, cookie)

    assert {question.asker for question in directory.questions} == {client.session.asker}


def test_nobody_is_minted_for_a_page_that_is_perhaps_never_fetched() -> None:
    directory = Directory()
    client = a_dialogue(directory)
    client.log_in()
    condition = or_(mail("new@example.com"), mail("newer@example.com"))

    a_page(client, 1, condition=condition)
    assert {question.intent for question in directory.questions} == {Intent.READ_ONLY}
    assert directory.mints == []

    shown = a_page(client, 2, condition=condition)
    assert directory.mints == ["new@example.com", "newer@example.com"]
    assert len(shown.names) == 2


def test_a_page_without_room_mints_nobody() -> None:
    directory = Directory()
    client = a_dialogue(directory)
    client.log_in()

    a_page(client, 0, condition=mail("new@example.com"))

    assert directory.questions == []
