"""Was this search answered a moment ago? Answers as they were written, remembered and given again.

A search for a known address is answered the same way until something is taken away or expires; so its
response, without the message identifier, is kept under the octets of the search and who asked. To give it
again costs a look at the envelope and a copy.

Remembered is only what cannot become untrue by itself: every question was answered with a certificate, and
nothing else is in the answer. That somebody has no certificate is never remembered. What becomes untrue by
another's doing is forgotten as `directory/changes.py` says; what expires, or is overtaken by a renewal at a
moment known before, is not given again; and when other authorities are published, whose certificates some
answers hold, everything is forgotten.

Knows no plan and no filter, and of a message only its envelope; decides nothing.
"""

from collections import OrderedDict
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from directory.authorities import NO_AUTHORITIES, Authorities
from directory.callers import Asker, Gateway
from directory.clock import Clock
from directory.ldap.ber import INTEGER, SEQUENCE, Reader, integer, read_length
from directory.ldap.codes import RequestTag, ResponseTag
from directory.ldap.errors import MalformedPdu
from directory.ldap.results import Outcome
from directory.lookup import Found, Minted, PublishedCertificate, Question

LONGEST_SEARCH: Final = 1024
"""Octets of a search that is remembered; those of clients have a hundred."""
LONGEST_ANSWER: Final = 64 * 1024
"""Octets of an answer that is remembered; one certificate takes two thousand."""
MOST_PER_ADDRESS: Final = 64
"""Searches remembered for one address: as many askers and spellings."""
OVERHEAD: Final = 768
"""Octets that a remembered search takes beside its own and its answer's; measured, and rounded up."""

_TWO_OCTETS = 0x100
_LONG_FORM = 0x80
_LONGEST_IDENTIFIER = 4
_SHORTEST = 9
"""Octets of a message that could be a search at all."""

_Key = tuple[str | bool, bytes]
_Remembered = tuple[tuple[bytes, ...], datetime, tuple[str, ...], int]
"""The operations, when they become untrue by themselves, whose they are, and how many octets it takes.

A tuple of what holds no references is left alone by the garbage collector; a hundred thousand objects of a
class would stop the service for a twentieth of a second whenever it looks at all.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Under what the answer to a search may be remembered, once there is one."""

    key: _Key
    epoch: int
    """What was forgotten before the search began; whatever is forgotten later makes the ticket void."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What became of searches since the start, and what is remembered now."""

    hits: int
    misses: int
    """Searches that could have been remembered and were not, or not any more."""
    silences: int
    """Hits that were not given because the database had not been heard for too long."""
    forgotten: int
    """Answers that became untrue; not those that had to make room."""
    entries: int
    octets: int


class AnswerCache:
    """Remembers answers in so many octets; of too many, the longest unused one is forgotten.

    `is_current` says whether everything that was taken away up to a moment ago has been forgotten here.
    """

    def __init__(
        self,
        *,
        octets: int,
        clock: Clock,
        is_current: Callable[[], bool],
        authorities: Authorities = NO_AUTHORITIES,
    ) -> None:
        self._room = octets
        self._clock = clock
        self._is_current = is_current
        self._authorities = authorities
        self._published = authorities.current()
        self._remembered: OrderedDict[_Key, _Remembered] = OrderedDict()
        self._by_address: dict[str, tuple[_Key, ...]] = {}
        self._octets = 0
        self._epoch = 0
        self._hits = self._misses = self._silences = self._forgotten = 0

    def answer(self, asker: Asker, message: bytes, in_use: Container[int]) -> bytes | None:
        """Return the answer, if it is remembered, to a message that is a search and nothing else.

        The message is complete, as the framer hands it out; one whose identifier is in use is not answered.
        """
        search = _plain_search(message)
        if search is None or search[0] in in_use:
            return None
        return self._recalled(search[0], _key(asker, search[1]))

    def recall(self, asker: Asker, message: bytes, in_use: Container[int]) -> bytes | Ticket | None:
        """Return the answer, if it is remembered; else under what it may be; None for any other message."""
        if not self._room:
            return None
        search = _plain_search(message)
        if search is None or search[0] in in_use:
            return None
        key = _key(asker, search[1])
        answer = self._recalled(search[0], key)
        if answer is not None:
            return answer
        self._misses += 1
        self._silences += key in self._remembered
        return Ticket(key=key, epoch=self._epoch)

    def _recalled(self, message_id: int, key: _Key) -> bytes | None:
        if self._authorities.current() is not self._published:
            self._look_at_authorities()
        remembered = self._remembered.get(key)
        if remembered is None or not self._is_current():
            return None
        operations, expires_at, _, _ = remembered
        if expires_at <= self._clock.now():
            self._drop(key)
            return None
        self._hits += 1
        self._remembered.move_to_end(key)
        return _with_envelopes(message_id, operations)

    def remember(
        self, ticket: Ticket, questions: Sequence[Question], outcomes: Sequence[Outcome], responses: bytes
    ) -> None:
        """Remember the responses, if nothing in them can become untrue unannounced.

        A ticket from before something was forgotten is void, whatever that was: its answer may have been read
        before the announcement, and nobody would announce it again.
        """
        if ticket.epoch != self._epoch or ticket.key in self._remembered:
            return
        certificates = _certificates(outcomes)
        if not certificates or len(outcomes) != len(questions):
            return
        if len(ticket.key[1]) > LONGEST_SEARCH or len(responses) > LONGEST_ANSWER:
            return
        operations = _without_envelopes(responses)
        if operations[0][0] != ResponseTag.SEARCH_ENTRY:
            return
        size = len(ticket.key[1]) + sum(map(len, operations)) + OVERHEAD
        expires_at = min(
            moment
            for certificate in certificates
            for moment in (certificate.not_after, certificate.stands_until)
            if moment is not None
        )
        address_keys = tuple({key for question in questions for key in question.keys})
        self._keep(ticket.key, (operations, expires_at, address_keys, size))

    def forget(self, address_keys: frozenset[str]) -> None:
        """Forget what was remembered for these addresses, and make every ticket void."""
        self._epoch += 1
        for address_key in address_keys:
            for key in self._by_address.get(address_key, ()):
                self._drop(key)
                self._forgotten += 1

    def forget_everything(self) -> None:
        """Forget all of it, and make every ticket void."""
        self._epoch += 1
        self._forgotten += len(self._remembered)
        self._remembered.clear()
        self._by_address.clear()
        self._octets = 0

    def statistics(self) -> Statistics:
        """Return the counters."""
        return Statistics(
            hits=self._hits,
            misses=self._misses,
            silences=self._silences,
            forgotten=self._forgotten,
            entries=len(self._remembered),
            octets=self._octets,
        )

    def _look_at_authorities(self) -> None:
        """Forget everything if their certificates are others; a new CRL is in nobody's answer."""
        before, self._published = self._published, self._authorities.current()
        if [each.certificate for each in before] != [each.certificate for each in self._published]:
            self.forget_everything()

    def _keep(self, key: _Key, remembered: _Remembered) -> None:
        _, _, address_keys, size = remembered
        for address_key in address_keys:
            keys = self._by_address.get(address_key, ())
            if len(keys) >= MOST_PER_ADDRESS:
                self._drop(keys[0])
                keys = self._by_address[address_key]
            self._by_address[address_key] = (*keys, key)
        self._remembered[key] = remembered
        self._octets += size
        while self._octets > self._room:
            self._drop(next(iter(self._remembered)))

    def _drop(self, key: _Key) -> None:
        _, _, address_keys, size = self._remembered.pop(key)
        self._octets -= size
        for address_key in address_keys:
            rest = tuple(other for other in self._by_address[address_key] if other != key)
            if rest:
                self._by_address[address_key] = rest
            else:
                del self._by_address[address_key]


def _key(asker: Asker, operation: bytes) -> _Key:
    return asker.gateway_id if isinstance(asker, Gateway) else asker.may_read, operation


def _plain_search(message: bytes) -> tuple[int, bytes] | None:
    """Return the message identifier and the octets of a search without controls; None of anything else."""
    if len(message) < _SHORTEST:
        return None
    first = message[1]
    at = 2 if first < _LONG_FORM else 2 + first - _LONG_FORM
    size = message[at + 1]
    operation = at + 2 + size
    if message[at] != INTEGER or not 1 <= size <= _LONGEST_IDENTIFIER or operation + 2 > len(message):
        return None
    if message[operation] != RequestTag.SEARCH:
        return None
    try:
        measured = read_length(message, operation + 1, len(message))
    except MalformedPdu:
        return None
    if measured is None or sum(measured) != len(message):
        return None
    message_id = int.from_bytes(message[at + 2 : operation], "big", signed=True)
    return (message_id, message[operation:]) if message_id > 0 else None


def _certificates(outcomes: Sequence[Outcome]) -> list[PublishedCertificate]:
    """Return the certificates of all answers; none if one of them is no certificate."""
    certificates: list[PublishedCertificate] = []
    for outcome in outcomes:
        match outcome:
            case Found(certificate=certificate, further=further):
                certificates += (certificate, *further)
            case Minted(certificate=certificate):
                certificates.append(certificate)
            case _:
                return []
    return certificates


def _without_envelopes(responses: bytes) -> tuple[bytes, ...]:
    messages, operations = Reader(responses), []
    while not messages.at_end():
        message = messages.constructed()
        message.integer()
        operations.append(message.rest())
    return tuple(operations)


def _with_envelopes(message_id: int, operations: tuple[bytes, ...]) -> bytes:
    identifier = integer(message_id)
    parts: list[bytes] = []
    for operation in operations:
        length = len(operation) + len(identifier)
        if length < _LONG_FORM:
            header = bytes((SEQUENCE, length))
        elif length < _TWO_OCTETS:
            header = bytes((SEQUENCE, _LONG_FORM + 1, length))
        else:
            header = bytes((SEQUENCE, _LONG_FORM + 2, length >> 8, length & 0xFF))
        parts += (header, identifier, operation)
    return b"".join(parts)
