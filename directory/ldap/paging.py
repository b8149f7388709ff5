"""How is an answer given page by page? Each page is cut out of the whole answer, made anew (RFC 2696).

An answer here has a few entries, so nothing is kept between pages but what the cookie says: how many entries
the client has had. It is authenticated, and good only for the same search in the same session. Rights are
looked at anew with every page, as with every search.

Knows entries only as messages, to be counted.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from directory.ldap.ber import Reader, integer, octet_string, sequence
from directory.ldap.codes import PAGED_RESULTS, ResponseTag, ResultCode
from directory.ldap.controls import PageWanted
from directory.ldap.errors import RequestRefused
from directory.ldap.plans import Plan
from directory.ldap.requests import SearchRequest
from directory.ldap.responses import SUCCESS, Result, with_control, write_result
from directory.ldap.results import Outcome
from directory.lookup import Intent, Question

_COUNT_OCTETS: Final = 4
_PROOF_OCTETS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PagedPlan:
    """A search of whose answer one page is given."""

    whole: Plan
    questions: tuple[Question, ...]
    had: int
    """How many entries the client has from earlier pages."""
    size: int
    """How many it wants now; none to end the series."""
    cookie: Callable[[int], bytes] = field(repr=False)
    """Writes the cookie of the page behind so many entries."""

    def responses(self, message_id: int, outcomes: Sequence[Outcome]) -> bytes:
        """Write the page, and with it where the next one begins. How the search ended is told at the end."""
        *entries, done = Reader(self.whole.responses(message_id, outcomes)).elements()
        stop = self.had + self.size
        cookie = self.cookie(stop) if self.size and stop < len(entries) else b""
        if cookie or not self.size:
            done = write_result(message_id, ResponseTag.SEARCH_DONE, SUCCESS)
        value = sequence(integer(len(entries)), octet_string(cookie))
        return b"".join((*entries[self.had : stop], with_control(done, PAGED_RESULTS, value)))

    def ending(self, message_id: int, result: Result) -> bytes:
        """Write a SearchResultDone."""
        return self.whole.ending(message_id, result)


class Pages:
    """The paged answers of one session."""

    __slots__ = ("_key",)

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def paged(self, plan: Plan, request: SearchRequest, wanted: PageWanted) -> PagedPlan:
        """Return the plan of one page of a search.

        Only a first page that has room for everybody who is asked for may mint: nobody gets a certificate
        made whose entry stands on a page that is perhaps never fetched. To end the series asks for nobody.

        Raises:
            RequestRefused: the cookie is not of an earlier page of this search (unwillingToPerform).
        """
        search = hashlib.sha256(repr(request).encode()).digest()
        had = self._read(wanted.cookie, search) if wanted.cookie and wanted.size else 0
        questions = plan.questions if wanted.size else ()
        if had or len(questions) > wanted.size:
            questions = tuple(replace(question, intent=Intent.READ_ONLY) for question in questions)
        return PagedPlan(
            whole=plan,
            questions=questions,
            had=had,
            size=wanted.size,
            cookie=lambda count: self._write(count, search),
        )

    def _write(self, count: int, search: bytes) -> bytes:
        counted = count.to_bytes(_COUNT_OCTETS, "big")
        return counted + hmac.digest(self._key, counted + search, "sha256")[:_PROOF_OCTETS]

    def _read(self, cookie: bytes, search: bytes) -> int:
        count = int.from_bytes(cookie[:_COUNT_OCTETS], "big")
        if not hmac.compare_digest(cookie, self._write(count, search)):
            raise RequestRefused(
                code=ResultCode.UNWILLING_TO_PERFORM,
                reason="the cookie is not of an earlier page of this search",
            )
        return count
