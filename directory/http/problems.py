"""Which problem document answers which refusal or error? The one table of the HTTP edge (RFC 9457).

A document says what kind of problem it is and what to do, never what the caller sent: an address or a token
that was refused must not come back in a body that somebody logs.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from types import MappingProxyType

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ca.errors import AddressRefused
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
from directory.http.models import FieldProblem, ProblemDocument
from directory.http.problem_kinds import PROBLEMS, HttpProblem, Problem
from directory.lookup import Absent, Deferred
from directory.policy import Refusal

MEDIA_TYPE = "application/problem+json"

_COME_BACK_AFTER = timedelta(seconds=5)
"""When to try again where the error itself does not know."""

ERROR_CODES: Mapping[type[DirectoryError], str] = MappingProxyType(
    {
        DirectoryError: HttpProblem.INTERNAL,
        ConfigurationRefused: HttpProblem.INTERNAL,
        StoreUnavailable: HttpProblem.STORE_UNAVAILABLE,
        StoreNewer: HttpProblem.STORE_SCHEMA,
        StoreOutdated: HttpProblem.STORE_SCHEMA,
        AlreadyExists: HttpProblem.RECORD_EXISTS,
        Unknown: HttpProblem.RECORD_UNKNOWN,
        SlotTaken: Refusal.TOO_SLOW,
        LimitReached: Refusal.LIMIT_REACHED,
        KeyBlocked: HttpProblem.INTERNAL,
        KeyRepeated: HttpProblem.INTERNAL,
        RelayRefused: HttpProblem.RELAY_REFUSED,
        ResendRefused: HttpProblem.RESEND_REFUSED,
        RenewalRefused: HttpProblem.INTERNAL,
        IssuerEnded: HttpProblem.INTERNAL,
        RecoveryRefused: HttpProblem.RECOVERY_REFUSED,
        RedeliveryRefused: HttpProblem.INTERNAL,
        MailRefused: HttpProblem.INTERNAL,
        EnvelopeRefused: HttpProblem.INTERNAL,
    }
)
"""Which problem an error of the service is, unless the error carries a code of its own."""

_STATUS_CODES: Mapping[int, str] = MappingProxyType(
    {
        HTTPStatus.NOT_FOUND: HttpProblem.NO_SUCH_RESOURCE,
        HTTPStatus.METHOD_NOT_ALLOWED: HttpProblem.METHOD_NOT_ALLOWED,
    }
)
"""Which problem a plain status of the framework is."""

_PASSING = frozenset(
    {
        Refusal.NO_KEY_READY,
        Refusal.NO_ISSUER,
        Refusal.TOO_SLOW,
        Refusal.CLOCK_DOUBTED,
        Refusal.SIGNER_UNAVAILABLE,
        HttpProblem.STORE_UNAVAILABLE,
    }
)
"""Problems that asking again solves, even where nobody said when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One occurrence of a problem, and all that its answer says."""

    problem: Problem
    detail: str | None = None
    """What is particular to this occurrence; never anything the caller sent."""
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[FieldProblem, ...] = ()

    @property
    def document(self) -> ProblemDocument:
        """The problem document."""
        return ProblemDocument(
            type=self.problem.type_uri,
            title=self.problem.title,
            status=self.problem.status.value,
            detail=self.detail or self.problem.detail,
            code=self.problem.code,
            errors=list(self.fields),
        )

    def response(self) -> Response:
        """Return the answer; it is never stored, since the reason may be gone the next moment."""
        return Response(
            content=self.document.model_dump_json(exclude_defaults=True),
            status_code=self.problem.status.value,
            media_type=MEDIA_TYPE,
            headers={**self.headers, "Cache-Control": "no-store"},
        )


class ProblemRaised(Exception):
    """A request is answered with a problem."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.problem.code)
        self.report = report


def refuse(problem: HttpProblem, headers: Mapping[str, str] | None = None) -> ProblemRaised:
    """Return the exception that answers the request with this problem."""
    return ProblemRaised(Report(problem=PROBLEMS[problem], headers=headers or {}))


def without_certificate(answer: Absent | Deferred) -> ProblemRaised:
    """Return the exception that says why a lookup has no certificate to answer with."""
    retry_after = answer.retry_after if isinstance(answer, Deferred) else None
    return ProblemRaised(_report(answer.refusal, retry_after=retry_after))


def report_of(error: Exception) -> Report:
    """Return the report of any exception; one that nobody foresaw is told without its text."""
    match error:
        case ProblemRaised():
            return error.report
        case AddressRefused(code=code, reason=reason):
            return _report(code, detail=reason)
        case DirectoryError():
            later = error.retry_after if isinstance(error, LimitReached) else None
            return _report(_code_of(error), retry_after=later)
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            return _report(
                _STATUS_CODES.get(error.status_code, HttpProblem.REQUEST_MALFORMED), headers=_allow(error)
            )
        case _:
            return _report(HttpProblem.INTERNAL)


def _code_of(error: DirectoryError) -> str:
    if isinstance(error, RecoveryRefused | RelayRefused | ResendRefused) and error.code in PROBLEMS:
        return error.code
    return next(ERROR_CODES[kind] for kind in type(error).__mro__ if kind in ERROR_CODES)


def _report(
    code: str,
    *,
    detail: str | None = None,
    retry_after: timedelta | None = None,
    headers: Mapping[str, str] | None = None,
) -> Report:
    said = dict(headers or {})
    if retry_after is None and code in _PASSING:
        retry_after = _COME_BACK_AFTER
    if retry_after is not None:
        # RFC 9110 section 10.2.3: whole seconds; never 0, which would invite a loop.
        said["Retry-After"] = str(max(1, math.ceil(retry_after.total_seconds())))
    return Report(problem=PROBLEMS[code], detail=detail, headers=said)


def _invalid(error: RequestValidationError) -> Report:
    findings = error.errors()
    if any(finding["type"] == "json_invalid" for finding in findings):
        return _report(HttpProblem.JSON_MALFORMED)
    # Each once: a thousand unknown fields are one thing that is wrong.
    fields = dict.fromkeys(
        FieldProblem(pointer=_pointer(finding["type"], finding["loc"]), detail=finding["msg"])
        for finding in findings
    )
    return Report(problem=PROBLEMS[HttpProblem.FIELDS_INVALID], fields=tuple(fields))


def _pointer(kind: str, location: Iterable[str | int]) -> str:
    # The name of an unknown field is the caller's own text.
    _, *names = location
    known = names[:-1] if kind == "extra_forbidden" else names
    return "".join(f"/{name}" for name in known)


def _allow(error: HTTPException) -> Mapping[str, str]:
    allowed = (error.headers or {}).get("Allow")
    if allowed is None:
        return {}
    # Every resource that can be read answers HEAD as well (RFC 9110 section 9.1).
    methods = {method.strip() for method in allowed.split(",")}
    readable = methods & {"GET", "HEAD"}
    return {"Allow": ", ".join(sorted(methods | ({"GET", "HEAD"} if readable else set())))}
