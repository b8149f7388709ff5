"""Where does the world learn which certificates are revoked? CRLs, public, from memory.

The names are the ones that certificates carry as their CRL distribution points; `/crls` is the certificate
revocation store of RFC 4387, which knows complete ones alone.
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from directory.authorities import PublishedCrl
from directory.errors import Unknown
from directory.http.certificate_query import parse_crl_query
from directory.http.conditional import has_it_already, http_date
from directory.http.issuer_search import matching
from directory.http.openapi import Responses, crl_query_parameters, problems
from directory.http.problem_kinds import HttpProblem
from directory.http.services import HttpServices

CRL_TYPE = "application/pkix-crl"
"""RFC 2585 section 4.2."""

_LONGEST_AGE = timedelta(minutes=1)
"""So much may a cache on the way add to the time that a revocation takes to be seen."""

_PARTITION: Final = re.compile(r"[1-9][0-9]{0,8}")


def crls_router(services: HttpServices) -> APIRouter:
    """Return the routes of the CRLs."""
    router = APIRouter(tags=["authority"])

    async def fetch_crl(issuer_id: str, request: Request) -> Response:
        """Fetch the current CRL of an issuer, DER: complete, and signed by the issuer itself."""
        crl = services.crls.crl(issuer_id)
        return _response(services, request, [] if crl is None else [crl])

    async def fetch_partition(issuer_id: str, partition: str, request: Request) -> Response:
        """Fetch the current CRL of one partition: of the certificates that name it, and of no others."""
        # One name each: 01 is not 1, nor is a digit of another script.
        number = int(partition) if _PARTITION.fullmatch(partition) else None
        crl = None if number is None else services.crls.crl(issuer_id, number)
        return _response(services, request, [] if crl is None else [crl])

    async def find_crl(request: Request) -> Response:
        """Find a current CRL by the hash of its issuer's name or key identifier; RFC 4387 section 2."""
        query = parse_crl_query(request.scope["query_string"])
        found = [crl for crl in services.crls.complete_crls() if matching(query, [crl.issuer_certificate])]
        return _response(services, request, found)

    for path, endpoint, parameters in (
        ("/crl/{issuer_id}.crl", fetch_crl, []),
        ("/crl/{issuer_id}/{partition}.crl", fetch_partition, []),
        ("/crls", find_crl, crl_query_parameters()),
    ):
        router.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            response_class=Response,
            responses=_responses(HttpProblem.RECORD_UNKNOWN, *(_QUERY_PROBLEMS if parameters else ())),
            openapi_extra={"parameters": parameters} if parameters else None,
        )
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
    return router


def _response(services: HttpServices, request: Request, found: Sequence[PublishedCrl]) -> Response:
    if not found:
        raise Unknown(kind="CRL", name="")
    crl = max(found, key=lambda one: one.this_update)  # RFC 4387 section 2: of several, the latest
    left = crl.next_update - services.clock.now()
    headers = {
        "ETag": _entity_tag(crl),
        "Last-Modified": http_date(crl.this_update),
        "Cache-Control": f"public, max-age={_seconds(min(left, _LONGEST_AGE))}, must-revalidate",
    }
    if has_it_already(request, headers["ETag"], crl.this_update):
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = 'attachment; filename="issuer.crl"'
    return Response(content=crl.der, media_type=CRL_TYPE, headers=headers)


def _entity_tag(crl: PublishedCrl) -> str:
    part = "" if crl.partition is None else f"{crl.partition}-"
    return f'"{crl.issuer_id}-{part}{crl.number}"'


def _seconds(time: timedelta) -> int:
    return max(0, int(time.total_seconds()))


_QUERY_PROBLEMS = (HttpProblem.QUERY_MALFORMED, HttpProblem.ATTRIBUTE_MISSING, HttpProblem.HASH_MALFORMED)


def _responses(*codes: str) -> Responses:
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        200: {"description": "The CRL.", "content": {CRL_TYPE: binary}},
        304: {"description": "The caller has it already (If-None-Match, If-Modified-Since)."},
        **problems(*codes),
    }
