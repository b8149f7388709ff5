"""Compares: with fixed entries at once, with recipients after a lookup that never mints."""

import pytest

from directory.errors import StoreUnavailable
from directory.ldap.codes import ResultCode
from directory.ldap.comparison import ComparePlan, plan_compare
from directory.ldap.requests import CompareRequest, read_message
from directory.ldap.responses import Result
from directory.ldap.results import Outcome
from directory.ldap.settings import StartTls
from directory.ldap.tree import Tree
from directory.lookup import Intent
from tests.directory.builders import a_gateway
from tests.directory.ldap.memory import absent, found
from tests.directory.ldap.wire import compare, only_result

PEOPLE = "ou=people,o=directory"
ALICE = f"mail=alice@example.com,{PEOPLE}"


def planned(entry: str, attribute: str = "mail", value: str = "alice@example.com") -> ComparePlan | Result:
    request = read_message(compare(entry, attribute, value)).request
    assert isinstance(request, CompareRequest)
    return plan_compare(Tree("o=directory", StartTls.OFFERED), request, a_gateway())


@pytest.mark.parametrize(
    ("entry", "attribute", "value", "code"),
    [
        ("o=directory", "o", "Directory", ResultCode.COMPARE_TRUE),
        ("o=directory", "o", "other", ResultCode.COMPARE_FALSE),
        ("o=directory", "mail", "x", ResultCode.NO_SUCH_ATTRIBUTE),
        ("o=directory", "objectClass", "printer", ResultCode.INAPPROPRIATE_MATCHING),
        ("o=directory", "userPassword", "x", ResultCode.UNDEFINED_ATTRIBUTE_TYPE),
        ("", "supportedLDAPVersion", "3", ResultCode.INAPPROPRIATE_MATCHING),
        ("o=nowhere", "o", "x", ResultCode.NO_SUCH_OBJECT),
        ("not a name", "o", "x", ResultCode.INVALID_DN_SYNTAX),
    ],
)
def test_fixed_entries_are_compared_at_once(entry: str, attribute: str, value: str, code: ResultCode) -> None:
    result = planned(entry, attribute, value)

    assert isinstance(result, Result)
    assert result.code is code


@pytest.mark.parametrize(
    ("value", "outcome", "code"),
    [
        ("ALICE@example.com", found(), ResultCode.COMPARE_TRUE),
        ("bob@example.com", found(), ResultCode.COMPARE_FALSE),
        ("alice@example.com", absent(), ResultCode.NO_SUCH_OBJECT),
        ("alice@example.com", StoreUnavailable(reason="locked"), ResultCode.UNAVAILABLE),
    ],
)
def test_a_recipient_is_looked_up_and_never_minted(value: str, outcome: Outcome, code: ResultCode) -> None:
    plan = planned(ALICE, value=value)

    assert isinstance(plan, ComparePlan)
    (question,) = plan.questions
    assert question.intent is Intent.READ_ONLY
    assert only_result(plan.responses(1, (outcome,))).code is code
