import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca.address import Mailbox
from directory.authorities import NO_AUTHORITIES, Authorities, PublishedAuthority
from directory.callers import Anonymous, Asker
from directory.ldap.answers import (
    LONGEST_ANSWER,
    LONGEST_SEARCH,
    MOST_PER_ADDRESS,
    OVERHEAD,
    AnswerCache,
    Ticket,
)
from directory.ldap.ber import element, integer, octet_string, sequence
from directory.ldap.codes import ResponseTag
from directory.ldap.responses import SUCCESS, write_entry, write_result
from directory.ldap.results import Outcome
from directory.lookup import Found, Question
from tests.directory.builders import a_gateway
from tests.directory.clocks import StoppedClock
from tests.directory.ldap.memory import absent, deferred, found, minted
from tests.directory.ldap.wire import mail, search_operation

MEBIBYTE = 1 << 20
ANYBODY = Anonymous(may_read=True)
NOBODY: frozenset[int] = frozenset()
ALICE = "alice@example.com"
BERTA = "berta@example.com"


class Hearing:
    """Whether the database was heard of late."""

    is_current = True

    def __call__(self) -> bool:
        return self.is_current


@dataclass
class Published:
    """Publishes what it is told to."""

    authorities: tuple[PublishedAuthority, ...] = ()

    def current(self) -> tuple[PublishedAuthority, ...]:
        return self.authorities


def a_cache(
    octets: int = MEBIBYTE,
    *,
    clock: StoppedClock | None = None,
    hearing: Hearing | None = None,
    authorities: Authorities = NO_AUTHORITIES,
) -> AnswerCache:
    return AnswerCache(
        octets=octets,
        clock=clock or StoppedClock(),
        is_current=hearing or Hearing(),
        authorities=authorities,
    )


def asked_for(
    address: str = ALICE, *, message_id: int = 7, attributes: tuple[str, ...] = (), behind: bytes = b""
) -> bytes:
    operation = search_operation(mail(address), attributes=attributes)
    return sequence(integer(message_id), operation, behind)


def answered(address: str = ALICE, *, message_id: int = 7) -> bytes:
    content = sequence(octet_string(f"mail={address}"), octet_string(b"certificate" * 120), tag=0x64)
    return write_entry(message_id, content) + write_result(message_id, ResponseTag.SEARCH_DONE, SUCCESS)


def question(address: str = ALICE, asker: Asker | None = None) -> Question:
    return Question(mailbox=Mailbox.parse(address), asker=asker or a_gateway())


def ask(
    cache: AnswerCache, message: bytes | None = None, asker: Asker | None = None
) -> bytes | Ticket | None:
    return cache.recall(asker or a_gateway(), message or asked_for(), NOBODY)


def keep(
    cache: AnswerCache,
    address: str = ALICE,
    *,
    message: bytes | None = None,
    asker: Asker | None = None,
    outcomes: Sequence[Outcome] | None = None,
    responses: bytes | None = None,
) -> None:
    """Ask, have it looked up, remember."""
    ticket = ask(cache, message or asked_for(address), asker)
    assert isinstance(ticket, Ticket)
    cache.remember(
        ticket,
        [question(address)],
        (found(address),) if outcomes is None else outcomes,
        responses or answered(address),
    )


def is_remembered(cache: AnswerCache, address: str = ALICE) -> bool:
    return isinstance(ask(cache, asked_for(address)), bytes)


@given(message_id=st.integers(1, 2**31 - 1), first_id=st.integers(1, 2**31 - 1), length=st.integers(0, 400))
def test_an_answer_is_given_again_as_it_would_be_written_for_that_message(
    message_id: int, first_id: int, length: int
) -> None:
    def written(identifier: int) -> bytes:
        content = element(0x64, bytes(length))
        return write_entry(identifier, content) + write_result(identifier, ResponseTag.SEARCH_DONE, SUCCESS)

    cache = a_cache()
    keep(cache, message=asked_for(message_id=first_id), responses=written(first_id))

    assert ask(cache, asked_for(message_id=message_id)) == written(message_id)


def test_a_message_identifier_with_superfluous_octets_gets_one_without() -> None:
    cache = a_cache()
    keep(cache)
    _, operation = asked_for(message_id=7).split(integer(7), 1)

    assert ask(cache, sequence(b"\x02\x04\x00\x00\x00\x07", operation)) == answered(message_id=7)


@pytest.mark.parametrize("outcome", [found(), minted()])
def test_what_was_found_or_made_is_remembered(outcome: Outcome) -> None:
    cache = a_cache()

    keep(cache, outcomes=(outcome,))

    assert ask(cache) == answered()


@pytest.mark.parametrize(
    "outcomes",
    [(absent(),), (deferred(),), (TimeoutError(),), (found(), absent()), (found(), found()), ()],
)
def test_what_is_absent_or_undecided_is_never_remembered(outcomes: tuple[Outcome, ...]) -> None:
    cache = a_cache()

    keep(cache, outcomes=outcomes)

    assert not is_remembered(cache)


def test_an_answer_without_an_entry_is_not_remembered() -> None:
    cache = a_cache()

    keep(cache, responses=write_result(7, ResponseTag.SEARCH_DONE, SUCCESS))

    assert not is_remembered(cache)


@pytest.mark.parametrize(
    "message",
    [
        asked_for(behind=sequence(tag=0xA0)),
        asked_for(message_id=0),
        asked_for(message_id=-1),
        sequence(integer(7), element(0x42, b"")),
        sequence(integer(7), element(0x6E, bytes(40))),
        sequence(octet_string(bytes(5)), search_operation(mail(ALICE))),
        bytes.fromhex("3000"),
        bytes.fromhex("30840000000602010763843000"),
        sequence(integer(7), b"\x63\x80" + bytes(20)),
        sequence(integer(7), b"\x63\x85" + bytes(20)),
        sequence(integer(7), b"\x63\x84\x00"),
        sequence(b"\x02\x05" + bytes(4) + b"\x07", search_operation(mail(ALICE))),
    ],
)
def test_nothing_but_a_plain_search_is_looked_up_here(message: bytes) -> None:
    cache = a_cache()

    assert ask(cache, message) is None
    assert cache.statistics().misses == 0


@given(st.binary(max_size=60))
def test_no_octets_disturb_it(content: bytes) -> None:
    message = sequence(content)

    assert not isinstance(ask(a_cache(), message), bytes)


def test_a_message_identifier_in_use_is_left_to_the_session() -> None:
    cache = a_cache()
    keep(cache)

    assert cache.recall(a_gateway(), asked_for(message_id=9), frozenset({9})) is None


def test_what_one_asker_was_told_no_other_is() -> None:
    cache = a_cache()
    keep(cache)

    for other in (a_gateway(gateway_id="gw-2"), ANYBODY, Anonymous(may_read=False)):
        assert isinstance(ask(cache, asker=other), Ticket)


def test_what_who_may_read_was_told_is_not_told_to_who_may_not() -> None:
    cache = a_cache()
    keep(cache, asker=ANYBODY)

    assert isinstance(ask(cache, asker=ANYBODY), bytes)
    assert isinstance(ask(cache, asker=Anonymous(may_read=False)), Ticket)


def test_another_search_for_the_same_address_is_another_search() -> None:
    cache = a_cache()
    keep(cache)

    assert isinstance(ask(cache, asked_for(attributes=("mail",))), Ticket)


def test_what_was_announced_is_forgotten_in_every_spelling_and_for_everybody() -> None:
    cache = a_cache()
    keep(cache)
    keep(cache, message=asked_for("ALICE@example.com"))
    keep(cache, asker=ANYBODY)
    keep(cache, BERTA)

    cache.forget(frozenset({ALICE, "nobody@example.com"}))

    assert not is_remembered(cache)
    assert is_remembered(cache, BERTA)
    assert cache.statistics().forgotten == 3
    assert cache.statistics().entries == 1


def test_a_search_for_several_is_forgotten_with_each_of_them() -> None:
    cache = a_cache()
    ticket = ask(cache)
    assert isinstance(ticket, Ticket)
    cache.remember(ticket, [question(ALICE), question(BERTA)], (found(ALICE), found(BERTA)), answered())

    cache.forget(frozenset({BERTA}))

    assert not is_remembered(cache)
    assert cache.statistics().octets == 0


def test_an_announcement_for_everybody_empties_it() -> None:
    cache = a_cache()
    keep(cache)
    keep(cache, BERTA)

    cache.forget_everything()

    assert cache.statistics() == replace(cache.statistics(), entries=0, octets=0, forgotten=2)
    assert not is_remembered(cache)


@pytest.mark.parametrize("address_keys", [frozenset({ALICE}), frozenset({BERTA}), None])
def test_what_was_looked_up_before_an_announcement_is_not_remembered_after_it(
    address_keys: frozenset[str] | None,
) -> None:
    cache = a_cache()
    ticket = ask(cache)
    assert isinstance(ticket, Ticket)

    if address_keys is None:
        cache.forget_everything()
    else:
        cache.forget(address_keys)
    cache.remember(ticket, [question()], (found(),), answered())

    assert not is_remembered(cache)


def test_it_falls_silent_while_the_database_is_not_heard_and_speaks_again() -> None:
    hearing = Hearing()
    cache = a_cache(hearing=hearing)
    keep(cache)

    hearing.is_current = False
    assert isinstance(ask(cache), Ticket)
    assert cache.statistics().silences == 1

    hearing.is_current = True
    assert ask(cache) == answered()


def test_other_authorities_make_it_forget_everything_once() -> None:
    authority = PublishedAuthority(certificate=b"issuing CA", is_root=False, crl=None)
    published = Published()
    cache = a_cache(authorities=published)
    keep(cache)
    published.authorities = (authority,)

    assert not is_remembered(cache)
    keep(cache)
    published.authorities = (replace(authority, crl=b"CRL"),)
    assert is_remembered(cache)


def test_what_expires_is_not_given_any_more() -> None:
    clock = StoppedClock()
    cache = a_cache(clock=clock)
    certificate = found().certificate
    brief = replace(certificate, not_after=clock.now() + timedelta(seconds=10))
    keep(cache, outcomes=(Found(certificate=certificate, further=(brief,)),))

    clock.advance(timedelta(seconds=9.999))
    assert is_remembered(cache)

    clock.advance(timedelta(seconds=0.001))
    assert not is_remembered(cache)
    assert cache.statistics().octets == 0


def test_the_longest_unused_makes_room() -> None:
    size = len(answered()) + OVERHEAD
    cache = a_cache(4 * size)
    for address in ("a@example.com", "b@example.com", "c@example.com"):
        keep(cache, address)
    assert is_remembered(cache, "a@example.com")

    keep(cache, "d@example.com")

    assert not is_remembered(cache, "b@example.com")
    assert is_remembered(cache, "a@example.com")
    assert cache.statistics().octets <= 4 * size


def test_an_answer_larger_than_all_the_room_is_not_kept() -> None:
    cache = a_cache(OVERHEAD)

    keep(cache)

    assert cache.statistics().entries == 0
    assert cache.statistics().octets == 0


def test_without_room_it_remembers_nothing_and_asks_for_nothing() -> None:
    assert ask(a_cache(0)) is None


def test_what_is_unusually_long_is_not_remembered() -> None:
    cache = a_cache()

    keep(cache, message=asked_for(attributes=tuple(f"attribute{n}" for n in range(LONGEST_SEARCH // 10))))
    keep(cache, BERTA, responses=answered() * (LONGEST_ANSWER // 1000))

    assert cache.statistics().entries == 0


def test_one_address_has_so_many_searches_at_most() -> None:
    cache = a_cache(100 * MEBIBYTE)

    for number in range(2 * MOST_PER_ADDRESS):
        keep(cache, message=asked_for(attributes=(f"attribute{number}",)))

    assert cache.statistics().entries == MOST_PER_ADDRESS
    assert isinstance(ask(cache, asked_for(attributes=(f"attribute{MOST_PER_ADDRESS}",))), bytes)


def test_it_takes_no_more_memory_than_it_counts() -> None:
    cache = a_cache(8 * MEBIBYTE)
    tracemalloc.start()
    try:
        for number in range(2000):
            keep(cache, f"recipient{number}@example.com")
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken < cache.statistics().octets


def test_hits_and_misses_are_counted() -> None:
    cache = a_cache()
    keep(cache)
    ask(cache)
    ask(cache)

    statistics = cache.statistics()

    assert (statistics.hits, statistics.misses, statistics.entries) == (2, 1, 1)
