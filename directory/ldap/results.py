"""Which LDAP result does the outcome of a lookup or of an authentication become? The one table of this edge.

An absent certificate is a success without entries, whatever the reason, so that the answer does not tell
apart what is unknown, forbidden and not minted (RFC 4511 section 6). What is only deferred, and every
failure, is a result that says so: a client must never wait for an answer that does not come.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from ca.errors import CaError, KeyPoolClosed
from directory.errors import (
    AlreadyExists,
    ConfigurationRefused,
    DirectoryError,
    EnvelopeRefused,
    IssuerEnded,
    KeyBlocked,
    KeyRepeated,
    LimitReached,
    MailRefused,
    RecoveryRefused,
    RedeliveryRefused,
    RelayRefused,
    RenewalRefused,
    ResendRefused,
    SlotTaken,
    StoreNewer,
    StoreOutdated,
    StoreUnavailable,
    Unknown,
)
from directory.ldap.codes import ResultCode
from directory.ldap.errors import Overloaded
from directory.ldap.responses import SUCCESS, Result
from directory.lookup import Absent, Answer, Deferred, Found, Minted

Outcome = Answer | BaseException
"""What became of one question: its answer, or what was raised instead."""

CANCELLED: Final[Sequence[Outcome]] = (TimeoutError(),)
"""What became of the questions of a lookup that was cancelled because it did not end."""

OF_ANSWERS: Final[Mapping[type[Answer], ResultCode]] = {
    Found: ResultCode.SUCCESS,
    Minted: ResultCode.SUCCESS,
    Absent: ResultCode.SUCCESS,
    Deferred: ResultCode.BUSY,
}

OF_FAILURES: Final[Mapping[type[Exception], ResultCode]] = {
    ConfigurationRefused: ResultCode.OTHER,
    StoreUnavailable: ResultCode.UNAVAILABLE,
    StoreNewer: ResultCode.UNAVAILABLE,
    StoreOutdated: ResultCode.UNAVAILABLE,
    AlreadyExists: ResultCode.OTHER,
    Unknown: ResultCode.OTHER,
    SlotTaken: ResultCode.BUSY,
    LimitReached: ResultCode.BUSY,
    KeyBlocked: ResultCode.OTHER,
    IssuerEnded: ResultCode.OTHER,
    KeyRepeated: ResultCode.OTHER,
    RelayRefused: ResultCode.OTHER,
    ResendRefused: ResultCode.OTHER,
    RenewalRefused: ResultCode.OTHER,
    RecoveryRefused: ResultCode.OTHER,
    RedeliveryRefused: ResultCode.OTHER,
    MailRefused: ResultCode.OTHER,
    EnvelopeRefused: ResultCode.OTHER,
    DirectoryError: ResultCode.OTHER,
    KeyPoolClosed: ResultCode.UNAVAILABLE,
    CaError: ResultCode.OTHER,
    Overloaded: ResultCode.BUSY,
    TimeoutError: ResultCode.BUSY,
}

_DIAGNOSTICS: Final[Mapping[ResultCode, str]] = {
    ResultCode.BUSY: "try again later",
    ResultCode.UNAVAILABLE: "the directory is unavailable; try again later",
    ResultCode.OTHER: "an internal error",
}


def result_of_failure(error: BaseException) -> Result:
    """Return what a failure is answered with; what nobody foresaw is `other`, and its text stays here."""
    for known in type(error).__mro__:
        if known in OF_FAILURES:
            return _result(OF_FAILURES[known])
    return _result(ResultCode.OTHER)


def result_of_outcomes(outcomes: Sequence[Outcome]) -> Result:
    """Return how an operation with several questions ends: as the first of them that did not succeed."""
    for outcome in outcomes:
        result = _result_of(outcome)
        if result is not SUCCESS:
            return result
    return SUCCESS


def _result_of(outcome: Outcome) -> Result:
    if isinstance(outcome, BaseException):
        return result_of_failure(outcome)
    if isinstance(outcome, Deferred):
        # Only a gateway that may mint gets this far, so it may know which limit it met.
        return Result(code=OF_ANSWERS[Deferred], diagnostic=outcome.refusal.value)
    return _result(OF_ANSWERS[type(outcome)])


def _result(code: ResultCode) -> Result:
    return SUCCESS if code is ResultCode.SUCCESS else Result(code=code, diagnostic=_DIAGNOSTICS[code])
