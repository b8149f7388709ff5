"""How is a compare answered? By what the entry has, once it is known whether there is one (RFC 4511 4.10)."""

from collections.abc import Sequence
from dataclasses import dataclass

from directory.callers import Asker
from directory.ldap.attributes import AttributeType, attribute_type
from directory.ldap.codes import ResponseTag, ResultCode, SearchScope
from directory.ldap.entries import Entry
from directory.ldap.errors import NameRefused
from directory.ldap.matching import Truth, has_value
from directory.ldap.names import parse_name
from directory.ldap.recipients import People, RecipientName
from directory.ldap.requests import CompareRequest
from directory.ldap.responses import SUCCESS, Result, write_result
from directory.ldap.results import Outcome, result_of_outcomes
from directory.ldap.selection import Selection
from directory.ldap.tree import Covered, OneRecipient, Tree
from directory.lookup import Found, Intent, Minted, Question

_RESULTS = {
    Truth.TRUE: Result(code=ResultCode.COMPARE_TRUE),
    Truth.FALSE: Result(code=ResultCode.COMPARE_FALSE),
    Truth.UNDEFINED: Result(code=ResultCode.INAPPROPRIATE_MATCHING),
}
_EVERYTHING = Selection.of((), types_only=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparePlan:
    """A compare with a recipient's entry, which has to be looked up."""

    people: People
    name: RecipientName
    request: CompareRequest
    attribute: AttributeType
    questions: tuple[Question, ...]

    def responses(self, message_id: int, outcomes: Sequence[Outcome]) -> bytes:
        """Write the result."""
        result = result_of_outcomes(outcomes)
        found = [item for item in outcomes if isinstance(item, Found | Minted)]
        entry = self.people.entry_named(self.name, found[0], _EVERYTHING) if found else None
        if entry is not None:
            result = _compare(entry, self.attribute, self.request)
        elif result is SUCCESS:
            result = Result(code=ResultCode.NO_SUCH_OBJECT, matched_name=self.name.superior)
        return self.ending(message_id, result)

    def ending(self, message_id: int, result: Result) -> bytes:
        """Write a CompareResponse."""
        return write_result(message_id, ResponseTag.COMPARE, result)


def plan_compare(tree: Tree, request: CompareRequest, asker: Asker) -> ComparePlan | Result:
    """Decide which entry is meant; or return how the compare ends at once."""
    attribute = attribute_type(request.attribute)
    if attribute is None:
        return Result(code=ResultCode.UNDEFINED_ATTRIBUTE_TYPE)
    try:
        extent = tree.extent(parse_name(request.entry), SearchScope.BASE)
    except NameRefused as refused:
        return Result(code=ResultCode.INVALID_DN_SYNTAX, diagnostic=refused.reason)
    match extent:
        case Covered():
            return _compare(extent.fixed[0], attribute, request)
        case OneRecipient():
            name = extent.name
            question = Question(mailbox=name.addressee, asker=asker, intent=Intent.READ_ONLY)
            return ComparePlan(
                people=tree.people, name=name, request=request, attribute=attribute, questions=(question,)
            )
        case _:
            return Result(code=ResultCode.NO_SUCH_OBJECT, matched_name=extent.matched_name)


def _compare(entry: Entry, attribute: AttributeType, request: CompareRequest) -> Result:
    if not entry.values(attribute):
        return Result(code=ResultCode.NO_SUCH_ATTRIBUTE)
    return _RESULTS[has_value(entry, request.attribute, request.value)]
