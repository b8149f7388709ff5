import ast
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

import directory
from ca.address import AddressRefusal
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
from directory.http.problem_kinds import PROBLEMS, HttpProblem
from directory.http.problems import ERROR_CODES, ProblemRaised, refuse, report_of, without_certificate
from directory.lookup import Absent, Deferred
from directory.policy import Refusal

SECRET = "anna@clinic.example"

ERRORS: dict[type[DirectoryError], tuple[DirectoryError, int, str]] = {
    DirectoryError: (DirectoryError(SECRET), 500, "http.internal"),
    ConfigurationRefused: (ConfigurationRefused(key=SECRET, reason=SECRET), 500, "http.internal"),
    StoreUnavailable: (StoreUnavailable(reason=SECRET), 503, "store.unavailable"),
    StoreNewer: (StoreNewer(found=SECRET), 503, "store.schema"),
    StoreOutdated: (StoreOutdated(found=SECRET, wanted=SECRET), 503, "store.schema"),
    AlreadyExists: (AlreadyExists(kind="agent", name=SECRET), 409, "record.exists"),
    Unknown: (Unknown(kind="enrolment", name=SECRET), 404, "record.unknown"),
    SlotTaken: (SlotTaken(SECRET), 503, "mint.too_slow"),
    LimitReached: (LimitReached(limit="day", retry_after=timedelta(hours=2)), 429, "limit.reached"),
    KeyBlocked: (KeyBlocked(key_sha256=SECRET), 500, "http.internal"),
    IssuerEnded: (IssuerEnded(issuer_id=SECRET), 500, "http.internal"),
    KeyRepeated: (KeyRepeated(key_sha256=SECRET), 500, "http.internal"),
    RelayRefused: (RelayRefused(code="relay.of_tomorrow", reason=SECRET), 409, "relay.refused"),
    ResendRefused: (ResendRefused(code="resend.of_tomorrow", reason=SECRET), 409, "resend.refused"),
    RecoveryRefused: (RecoveryRefused(code="recovery.of_tomorrow", reason=SECRET), 409, "recovery.refused"),
    RenewalRefused: (
        RenewalRefused(code="renewal.not_due", reason=SECRET, is_policy=True),
        500,
        "http.internal",
    ),
    RedeliveryRefused: (
        RedeliveryRefused(code="redelivery.under_way", reason=SECRET),
        500,
        "http.internal",
    ),
    MailRefused: (MailRefused(code="mail.not_wanted", reason=SECRET), 500, "http.internal"),
    EnvelopeRefused: (EnvelopeRefused(code="envelope.not_rsa", reason=SECRET), 500, "http.internal"),
}


def kinds_of(base: type[DirectoryError]) -> Iterator[type[DirectoryError]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds_of(kind)


def test_every_error_of_the_service_has_a_row() -> None:
    declared = {kind for kind in kinds_of(DirectoryError) if kind.__module__ == "directory.errors"}

    assert declared == set(ERROR_CODES) == set(ERRORS)


def test_every_refusal_and_every_address_refusal_has_a_row() -> None:
    assert {*Refusal, *AddressRefusal, *HttpProblem} == set(PROBLEMS)


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_becomes_its_problem_and_its_values_stay_inside(kind: type[DirectoryError]) -> None:
    error, status, code = ERRORS[kind]
    response = report_of(error).response()
    document = json.loads(bytes(response.body))

    assert (response.status_code, document["code"]) == (status, code)
    assert SECRET not in bytes(response.body).decode()


def codes_of_relay_refusals() -> set[str]:
    """Return the codes that the source code gives to relay refusals."""
    found = set()
    for module in Path(directory.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "RelayRefused":
                found |= {
                    keyword.value.value
                    for keyword in node.keywords
                    if keyword.arg == "code"
                    and isinstance(keyword.value, ast.Constant)
                    and isinstance(keyword.value.value, str)
                }
    return found


def test_every_relay_refusal_in_the_source_has_a_row_of_its_own() -> None:
    codes = codes_of_relay_refusals()

    assert "relay.already_revealed" in codes
    assert codes <= set(PROBLEMS)


@pytest.mark.parametrize("refusal", AddressRefusal)
def test_a_refused_address_keeps_its_code_and_reason(refusal: AddressRefusal) -> None:
    report = report_of(AddressRefused(code=refusal, reason="the reason"))

    assert (report.problem.status, report.document.code) == (400, refusal.value)
    assert report.document.detail == "the reason"


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (Refusal.NOT_FOUND, 404),
        (Refusal.OWN_DOMAIN, 404),
        (Refusal.INTERNATIONAL_LOCAL_PART, 404),
        (Refusal.RESERVED_LOCAL_PART, 404),
        (Refusal.RESERVED_DOMAIN, 404),
        (Refusal.UNKNOWN_DOMAIN, 404),
        (Refusal.NOT_CERTIFIABLE, 404),
        (Refusal.REVOKED, 404),
        (Refusal.BOUNCED, 404),
        (Refusal.DOMAIN_PAUSED, 404),
    ],
)
def test_an_absent_certificate_is_not_found_and_the_code_says_why(refusal: Refusal, status: int) -> None:
    report = without_certificate(Absent(refusal=refusal)).report

    assert (report.problem.status, report.document.code) == (status, refusal.value)
    assert "Retry-After" not in report.headers


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(Refusal.LIMIT_REACHED, 429), (Refusal.NO_KEY_READY, 503), (Refusal.TOO_SLOW, 503)],
)
def test_a_deferred_certificate_says_when_to_come_back(refusal: Refusal, status: int) -> None:
    report = without_certificate(Deferred(refusal=refusal, retry_after=timedelta(seconds=8.2))).report

    assert (report.problem.status, report.headers["Retry-After"]) == (status, "9")


def test_coming_back_at_once_is_never_suggested() -> None:
    at_once = Deferred(refusal=Refusal.TOO_SLOW, retry_after=timedelta(0))

    assert without_certificate(at_once).report.headers["Retry-After"] == "1"


def test_a_limit_that_was_reached_says_when_it_ends() -> None:
    report = report_of(LimitReached(limit="day", retry_after=timedelta(minutes=1)))

    assert report.headers["Retry-After"] == "60"


def test_what_nobody_foresaw_is_told_without_its_text() -> None:
    document = report_of(RuntimeError(SECRET)).document

    assert (document.status, document.code) == (500, "http.internal")
    assert SECRET not in document.model_dump_json()


def test_a_document_has_the_members_of_the_rfc_and_is_never_stored() -> None:
    response = report_of(refuse(HttpProblem.TLS_REQUIRED)).response()

    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    assert json.loads(bytes(response.body)) == {
        "type": "/problems/http.tls_required",
        "title": "Credentials need TLS",
        "status": 403,
        "detail": PROBLEMS["http.tls_required"].detail,
        "code": "http.tls_required",
    }


def test_the_name_of_an_unknown_field_is_the_callers_text_and_not_repeated() -> None:
    error = RequestValidationError(
        [{"type": "extra_forbidden", "loc": ("body", SECRET), "msg": "Extra inputs", "input": SECRET}]
    )
    document = report_of(error).document

    assert [(field.pointer, field.detail) for field in document.errors] == [("", "Extra inputs")]
    assert SECRET not in document.model_dump_json()


def test_a_field_at_fault_is_pointed_at() -> None:
    error = RequestValidationError(
        [{"type": "string_type", "loc": ("body", "email"), "msg": "a string", "input": SECRET}]
    )

    assert report_of(error).document.errors[0].pointer == "/email"


@pytest.mark.parametrize(("status", "code"), [(404, "http.not_found"), (400, "http.malformed")])
def test_what_the_framework_refuses_is_a_problem_too(status: int, code: str) -> None:
    assert report_of(HTTPException(status_code=status, detail=SECRET)).document.code == code


@pytest.mark.parametrize(
    ("allowed", "answered"), [("GET", "GET, HEAD"), ("HEAD", "GET, HEAD"), ("POST", "POST")]
)
def test_allow_names_head_beside_get(allowed: str, answered: str) -> None:
    error = HTTPException(status_code=405, headers={"Allow": allowed})

    assert report_of(error).headers == {"Allow": answered}


def test_a_raised_problem_says_its_code_and_no_more() -> None:
    assert str(refuse(HttpProblem.TOKEN_REQUIRED)) == "auth.required"
    assert isinstance(refuse(HttpProblem.TOKEN_REQUIRED), ProblemRaised)
