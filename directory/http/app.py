"""What is the HTTP application made of? The one place where its parts meet."""

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response

from ca.errors import AddressRefused
from directory.errors import DirectoryError
from directory.http.api import api_router
from directory.http.authority import authority_router
from directory.http.certificates import certificates_router
from directory.http.crls import crls_router
from directory.http.documentation import add_documentation
from directory.http.health import health_router
from directory.http.mails import mails_router
from directory.http.metrics import metrics_router
from directory.http.middleware import AccessLog, AnswerHeaders, Barrier, BodyLimit, HostAllowList
from directory.http.ocsp import OcspRoute
from directory.http.openapi import complete
from directory.http.pages.routes import pages_router
from directory.http.problems import ProblemRaised, report_of
from directory.http.recoveries import recoveries_router
from directory.http.services import HttpServices

_DESCRIPTION = (
    "A certificate directory that never says no: S/MIME certificates for any address, found or minted. "
    "Every answer that is not a success is a problem document (RFC 9457) with a stable code."
)


class _DirectoryApi(FastAPI):
    """The application, with an OpenAPI document that knows problem documents."""

    def openapi(self) -> dict[str, Any]:
        return complete(super().openapi())


def create_app(services: HttpServices) -> FastAPI:
    """Build the application; further routers may be included, all share its defences."""
    app = _DirectoryApi(
        title="pushpki",
        description=_DESCRIPTION,
        version=version("pushpki"),
        docs_url=None,  # the framework's page loads its scripts from another server
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the Host header
        middleware=[
            Middleware(AccessLog, tally=services.requests),
            Middleware(AnswerHeaders),
            Middleware(Barrier),
            Middleware(HostAllowList, settings=services.settings),
            Middleware(BodyLimit, settings=services.settings),
            Middleware(OcspRoute, desk=services.ocsp, clock=services.clock),
        ],
    )
    for kind in (ProblemRaised, AddressRefused, DirectoryError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _answer_problem)
    app.include_router(certificates_router(services))
    app.include_router(api_router(services))
    app.include_router(mails_router(services))
    app.include_router(recoveries_router(services))
    app.include_router(authority_router(services))
    app.include_router(crls_router(services))
    app.include_router(health_router(services))
    app.include_router(metrics_router(services))
    app.include_router(pages_router(services.pages, services.settings, services.clock))
    add_documentation(app)
    return app


async def _answer_problem(_request: Request, error: Exception) -> Response:
    return report_of(error).response()
