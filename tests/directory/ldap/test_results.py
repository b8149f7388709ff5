"""The one table from outcomes to result codes: complete, and silent about what a client must not learn."""

from datetime import timedelta
from typing import get_args

import pytest

import ca.errors
import directory.errors
from ca.errors import CaError, KeyPoolClosed, SealBroken
from directory.errors import DirectoryError, LimitReached, SlotTaken, StoreUnavailable
from directory.ldap.codes import ResultCode
from directory.ldap.errors import Overloaded
from directory.ldap.responses import SUCCESS
from directory.ldap.results import OF_ANSWERS, OF_FAILURES, result_of_failure, result_of_outcomes
from directory.lookup import Answer
from directory.policy import Refusal
from tests.directory.ldap.memory import absent, deferred, found, minted


def test_every_answer_has_a_code() -> None:
    assert set(OF_ANSWERS) == set(get_args(Answer))


def test_every_error_of_the_service_has_a_code() -> None:
    defined = {
        item
        for item in vars(directory.errors).values()
        if isinstance(item, type) and issubclass(item, DirectoryError)
    }

    assert defined <= set(OF_FAILURES)


@pytest.mark.parametrize(
    "error",
    [
        item
        for item in vars(ca.errors).values()
        if isinstance(item, type) and issubclass(item, CaError) and item is not KeyPoolClosed
    ],
)
def test_every_error_of_the_authority_is_other(error: type[CaError]) -> None:
    known = next(item for item in error.__mro__ if item in OF_FAILURES)

    assert OF_FAILURES[known] is ResultCode.OTHER


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreUnavailable(reason="locked"), ResultCode.UNAVAILABLE),
        (KeyPoolClosed(), ResultCode.UNAVAILABLE),
        (SlotTaken(), ResultCode.BUSY),
        (LimitReached(limit="gateway_hour", retry_after=timedelta(minutes=1)), ResultCode.BUSY),
        (Overloaded(), ResultCode.BUSY),
        (TimeoutError(), ResultCode.BUSY),
        (SealBroken(kind="key", record_id="1"), ResultCode.OTHER),
        (RuntimeError("alice@example.com"), ResultCode.OTHER),
        (KeyboardInterrupt(), ResultCode.OTHER),
    ],
)
def test_what_a_failure_becomes(error: BaseException, code: ResultCode) -> None:
    result = result_of_failure(error)

    assert result.code is code
    assert "@" not in result.diagnostic


@pytest.mark.parametrize("refusal", Refusal)
def test_an_absent_certificate_is_a_success_that_does_not_say_why(refusal: Refusal) -> None:
    assert result_of_outcomes((absent(refusal),)) is SUCCESS


@pytest.mark.parametrize("refusal", [Refusal.LIMIT_REACHED, Refusal.NO_KEY_READY, Refusal.TOO_SLOW])
def test_a_deferred_one_is_busy_and_says_why(refusal: Refusal) -> None:
    result = result_of_outcomes((deferred(refusal),))

    assert (result.code, result.diagnostic) == (ResultCode.BUSY, refusal.value)


def test_found_and_minted_are_success_and_the_first_failure_counts() -> None:
    assert result_of_outcomes(()) is SUCCESS
    assert result_of_outcomes((found(), minted(), absent())) is SUCCESS
    outcomes = (found(), StoreUnavailable(reason="x"), deferred())
    assert result_of_outcomes(outcomes).code is ResultCode.UNAVAILABLE
