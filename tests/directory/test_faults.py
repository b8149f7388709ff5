"""What a log says of a failure, and what it must not say."""

import logging

import pytest

from directory.errors import StoreUnavailable
from directory.faults import log_failure

ADDRESS = "patient@example.com"


def _fail() -> None:
    raise ZeroDivisionError(ADDRESS)


def failure() -> BaseException:
    with pytest.raises(ZeroDivisionError) as failed:
        _fail()
    return failed.value


def test_an_unforeseen_failure_is_an_error_with_its_kind_and_place(caplog: pytest.LogCaptureFixture) -> None:
    log_failure("a lookup", failure())

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    line = _fail.__code__.co_firstlineno + 1
    assert record.getMessage() == f"a fault in a lookup: ZeroDivisionError in {__file__}:{line}"


@pytest.mark.parametrize("error", [TimeoutError(ADDRESS), StoreUnavailable(reason=ADDRESS)])
def test_a_foreseen_failure_is_a_warning(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    log_failure("a lookup", error)

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"a lookup failed: {type(error).__name__}"


@pytest.mark.parametrize("error", [failure(), KeyError(ADDRESS), TimeoutError(ADDRESS)])
def test_the_text_of_a_failure_is_never_logged(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    log_failure("a lookup", error)

    assert ADDRESS not in caplog.text
