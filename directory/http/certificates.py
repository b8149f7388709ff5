"""How does a certificate leave over plain HTTP? The certificate store of RFC 4387.

A GET asks for one complete address, by the RFC's own design; so, for a gateway with the right, it may mint.
A HEAD delivers nothing, and therefore only reads.
"""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from directory.callers import Asker
from directory.http.authentication import AskerWelcome
from directory.http.certificate_query import AddressQuery, parse_certificate_query
from directory.http.conditional import has_it_already
from directory.http.issuer_search import matching
from directory.http.multipart import multipart_mixed
from directory.http.openapi import (
    ANONYMOUS_TOO,
    CREDENTIALS,
    LOOKUP,
    Responses,
    certificate_query_parameters,
    problems,
)
from directory.http.problem_kinds import PROBLEMS, HttpProblem
from directory.http.problems import ProblemRaised, Report, without_certificate
from directory.http.services import HttpServices
from directory.lookup import Found, Intent, Minted, Question
from directory.policy import Refusal

PATHS = ("/certificates", "/search.cgi")
"""Ours, and the well-known one of RFC 4387 section 3.3."""

CERTIFICATE_TYPE = "application/pkix-cert"
"""RFC 2585 section 4.1."""

_LONGEST_AGE = timedelta(minutes=5)
"""A revoked certificate must not live on in caches."""


def certificates_router(services: HttpServices) -> APIRouter:
    """Return the routes of the certificate store."""
    router = APIRouter(tags=["certificates"])
    welcome = AskerWelcome(services.authentication, services.settings)

    async def fetch_certificate(request: Request, asker: Annotated[Asker, Depends(welcome)]) -> Response:
        """Fetch the certificate of one address, or the authority's own certificates; RFC 4387.

        A gateway with the right to mint gets one made for an address that has none.
        """
        return await _answer(services, request, asker, Intent.MINT_IF_ABSENT)

    async def probe_certificate(request: Request, asker: Annotated[Asker, Depends(welcome)]) -> Response:
        """Find out whether there is one; nothing is made for it."""
        return await _answer(services, request, asker, Intent.READ_ONLY)

    for path in PATHS:
        router.add_api_route(
            path,
            fetch_certificate,
            methods=["GET"],
            response_class=Response,
            responses=_RESPONSES,
            openapi_extra={**ANONYMOUS_TOO, "parameters": certificate_query_parameters()},
        )
        router.add_api_route(path, probe_certificate, methods=["HEAD"], include_in_schema=False)
    return router


async def _answer(services: HttpServices, request: Request, asker: Asker, intent: Intent) -> Response:
    query = parse_certificate_query(request.scope["query_string"])
    if isinstance(query, AddressQuery):
        question = Question(mailbox=query.mailbox, asker=asker, intent=intent)
        match await services.answer(question):
            case Found(certificate=certificate) | Minted(certificate=certificate):
                lifetime = certificate.not_after - services.clock.now()
                return _response(request, [certificate.der], min(lifetime, _LONGEST_AGE))
            case refused:
                raise without_certificate(refused)
    own = (await services.issuers.issuer_certificates()).values()
    by_others = (await services.issuers.cross_certificates()).values()
    found = matching(query, (*own, *(der for each in by_others for der in each)))
    if not found:
        raise ProblemRaised(Report(problem=PROBLEMS[Refusal.NOT_FOUND]))
    return _response(request, found, _LONGEST_AGE)


def _response(request: Request, certificates: Sequence[bytes], age: timedelta) -> Response:
    """Answer with the certificates verbatim: no content coding, one length known beforehand (section 2)."""
    if len(certificates) == 1:
        body, media_type = certificates[0], CERTIFICATE_TYPE
    else:
        body, media_type = multipart_mixed(certificates, CERTIFICATE_TYPE)
    headers = {
        "ETag": f'"{hashlib.sha256(body).hexdigest()}"',
        "Cache-Control": f"private, max-age={max(0, int(age.total_seconds()))}, must-revalidate",
        "Vary": "Authorization",
    }
    if has_it_already(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    # A constant name: nothing of the question ends up in a file name.
    headers["Content-Disposition"] = 'attachment; filename="certificate.cer"'
    return Response(content=body, media_type=media_type, headers=headers)


_BINARY = {"schema": {"type": "string", "format": "binary"}}
_RESPONSES: Responses = {
    200: {
        "description": "One certificate, DER; several of the authority's own as multipart/mixed.",
        "content": {CERTIFICATE_TYPE: _BINARY, "multipart/mixed": _BINARY},
    },
    304: {"description": "The caller has it already (If-None-Match)."},
    **problems(
        *CREDENTIALS,
        *LOOKUP,
        HttpProblem.GATEWAY_REQUIRED,
        HttpProblem.QUERY_MALFORMED,
        HttpProblem.ATTRIBUTE_MISSING,
        HttpProblem.HASH_MALFORMED,
    ),
}
