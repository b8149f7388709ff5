"""How is a search answered? First what must be looked up; then, with that, the entries and the result."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ca.address import Addressee, Mailbox
from directory.callers import Asker
from directory.ldap.attributes import MAIL, attribute_type
from directory.ldap.codes import ResponseTag, ResultCode
from directory.ldap.entries import Entry
from directory.ldap.errors import NameRefused
from directory.ldap.filters import And, Equality, Filter, Or
from directory.ldap.matching import Truth, matches
from directory.ldap.names import parse_name
from directory.ldap.questions import Asked, Shape, asked_by
from directory.ldap.requests import SearchRequest
from directory.ldap.responses import SUCCESS, Result, write_entry, write_result
from directory.ldap.results import Outcome, result_of_outcomes
from directory.ldap.selection import Selection
from directory.ldap.tree import Covered, NoSuchObject, OneRecipient, Recipients, Tree
from directory.lookup import Found, Intent, Minted, Question

_SIZE_LIMIT_EXCEEDED = Result(code=ResultCode.SIZE_LIMIT_EXCEEDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """A search that is being answered."""

    tree: Tree
    filter: Filter
    selection: Selection
    size_limit: int
    fixed: tuple[Entry, ...]
    """Entries that match, whatever the answers."""
    questions: tuple[Question, ...]
    base: OneRecipient | None
    """The search is based at this recipient's entry, so that has to exist."""

    def responses(self, message_id: int, outcomes: Sequence[Outcome]) -> bytes:
        """Write the entries and the result, in one piece."""
        result = result_of_outcomes(outcomes)
        found = self._entries_of(outcomes)
        if self.base is not None and result is SUCCESS and not found:
            result = Result(code=ResultCode.NO_SUCH_OBJECT, matched_name=self.base.name.superior)
        entries = list(self.fixed)
        if self.base is None or self.base.covered:
            entries += _matching(self.filter, found)
        if 0 < self.size_limit < len(entries):
            del entries[self.size_limit :]
            result = _SIZE_LIMIT_EXCEEDED if result is SUCCESS else result
        written = [write_entry(message_id, entry.written(self.selection)) for entry in entries]
        return b"".join((*written, self.ending(message_id, result)))

    def _entries_of(self, outcomes: Sequence[Outcome]) -> list[Entry]:
        """Return the entries of the recipients that were found, the preferred certificate of each first.

        So a client that wants few entries gets the certificates that matter; the second entries are for those
        who look at certificates.
        """
        people, selection = self.tree.people, self.selection
        answered = [
            (question.mailbox, outcome)
            for question, outcome in zip(self.questions, outcomes, strict=False)
            if isinstance(outcome, Found | Minted)
        ]
        if self.base is not None:
            named = [people.entry_named(self.base.name, answer, selection) for _, answer in answered]
            return [entry for entry in named if entry is not None]
        entries = [people.preferred(addressee, answer, selection) for addressee, answer in answered]
        if selection.shows_certificates:
            further = [people.further(addressee, answer, selection) for addressee, answer in answered]
            entries += [entry for entry in further if entry is not None]
        return entries

    def ending(self, message_id: int, result: Result) -> bytes:
        """Write a SearchResultDone."""
        return write_result(message_id, ResponseTag.SEARCH_DONE, result)


def plan_search(tree: Tree, request: SearchRequest, asker: Asker) -> SearchPlan | Result:
    """Decide what a search covers and which questions it asks; or return how it ends at once.

    Raises:
        RequestRefused: the filter asks for more addresses than one search may.
    """
    try:
        extent = tree.extent(parse_name(request.base), request.scope)
    except NameRefused as refused:
        return Result(code=ResultCode.INVALID_DN_SYNTAX, diagnostic=refused.reason)
    if isinstance(extent, NoSuchObject):
        return Result(code=ResultCode.NO_SUCH_OBJECT, matched_name=extent.matched_name)

    selection = Selection.of(
        request.attributes, types_only=request.types_only, presentation=tree.presentation
    )
    fixed: tuple[Entry, ...] = ()
    questions: tuple[Question, ...] = ()
    match extent:
        case OneRecipient():
            addressee = extent.name.addressee
            questions = (Question(mailbox=addressee, asker=asker, intent=Intent.READ_ONLY),)
        case Covered():
            fixed = _fixed(request.filter, extent.fixed)
            if extent.recipients is Recipients.ASKED:
                questions = _questions(tree, request, selection, asker)
    return SearchPlan(
        tree=tree,
        filter=request.filter,
        selection=selection,
        size_limit=request.size_limit,
        fixed=fixed,
        questions=questions,
        base=extent if isinstance(extent, OneRecipient) else None,
    )


def _questions(
    tree: Tree, request: SearchRequest, selection: Selection, asker: Asker
) -> tuple[Question, ...]:
    asked = asked_by(request.filter)
    intent = _intent(asked, selection, request.size_limit)
    return tuple(
        Question(
            mailbox=addressee,
            asker=asker,
            intent=intent if isinstance(addressee, Mailbox) else Intent.READ_ONLY,
        )
        for addressee in asked.addressees
        if _could_match(request.filter, tree, addressee)
    )


def _intent(asked: Asked, selection: Selection, size_limit: int) -> Intent:
    """Whether the search may cause mints: only if every certificate made for it would be in its answer."""
    fits = size_limit == 0 or len(asked.addressees) <= size_limit
    if asked.shape is Shape.EXACT and selection.wants_certificate and fits:
        return Intent.MINT_IF_ABSENT
    return Intent.READ_ONLY


def _could_match(condition: Filter, tree: Tree, addressee: Addressee) -> bool:
    """Whether the recipient's entry, found or made, would match.

    Asked before the lookup, or `(&(mail=ADDRESS)(objectClass=device))` would make a certificate and then not
    return it. An equality that asks for the address matches it by itself.
    """
    if isinstance(condition, Equality):
        return True
    return matches(condition, tree.people.expected(addressee)) is Truth.TRUE


def _fixed(condition: Filter, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the fixed entries that match; none has a mail address, so most searches need not look."""
    return () if _needs_mail(condition) else tuple(_matching(condition, entries))


def _needs_mail(condition: Filter) -> bool:
    match condition:
        case Equality():
            return attribute_type(condition.attribute) is MAIL
        case And():
            return any(map(_needs_mail, condition.filters))
        case Or():
            return all(map(_needs_mail, condition.filters))
        case _:
            return False


def _matching(condition: Filter, entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if matches(condition, entry) is Truth.TRUE]
