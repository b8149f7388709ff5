"""Who may read what is measured? For the monitoring of the operator; it holds no address and no secret."""

from fastapi import APIRouter, Request, Response

from directory.access import MetricsAccess
from directory.http.peers import peer_of
from directory.http.problem_kinds import HttpProblem
from directory.http.problems import refuse
from directory.http.services import HttpServices


def metrics_router(services: HttpServices) -> APIRouter:
    """Return the route of the metrics; to whom they are not shown, there is no such resource."""
    router = APIRouter()

    async def read_metrics(request: Request) -> Response:
        if not _may_read(services, request):
            raise refuse(HttpProblem.NO_SUCH_RESOURCE)
        page = await services.metrics()
        return Response(content=page.content, headers={"Content-Type": page.content_type})

    for method in ("GET", "HEAD"):
        router.add_api_route("/metrics", read_metrics, methods=[method], include_in_schema=False)
    return router


def _may_read(services: HttpServices, request: Request) -> bool:
    settings = services.settings
    match settings.metrics:
        case MetricsAccess.ANYONE:
            return True
        case MetricsAccess.LOOPBACK:
            return peer_of(request.scope, settings.trusted_proxies).is_local
        case MetricsAccess.OFF:
            return False
