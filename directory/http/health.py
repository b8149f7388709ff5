"""Is the process alive, and can it do its work? For supervisors and load balancers; tells no secrets.

Alive means that it answers at all: a supervisor that restarts on a lost database would make things worse.
Ready means that it should be sent requests.
"""

import asyncio
import logging
from collections.abc import Sequence

from fastapi import APIRouter, Response

from directory.http.models import AliveResponse, ReadinessResponse
from directory.http.openapi import problems
from directory.http.services import HttpServices, NamedCheck

logger = logging.getLogger(__name__)


def health_router(services: HttpServices) -> APIRouter:
    """Return the routes of the health checks."""
    router = APIRouter(tags=["health"])

    async def read_liveness() -> AliveResponse:
        """Tell that the process answers."""
        return AliveResponse()

    async def read_readiness(response: Response) -> ReadinessResponse:
        """Tell whether the process can do its work, check by check; 503 when it cannot."""
        checks = await _checked(services)
        ready = all(check.failure is None for check in checks if check.needed)
        response.status_code = 200 if ready else 503
        return ReadinessResponse(
            status="ready" if ready else "not_ready",
            checks={check.name: "passed" if check.failure is None else "failed" for check in checks},
        )

    router.add_api_route("/healthz", read_liveness, methods=["GET"], responses=problems())
    router.add_api_route("/healthz", read_liveness, methods=["HEAD"], include_in_schema=False)
    router.add_api_route(
        "/readyz",
        read_readiness,
        methods=["GET"],
        responses={503: {"model": ReadinessResponse, "description": "It cannot."}, **problems()},
    )
    router.add_api_route("/readyz", read_readiness, methods=["HEAD"], include_in_schema=False)
    return router


async def _checked(services: HttpServices) -> Sequence[NamedCheck]:
    try:
        async with asyncio.timeout(services.settings.probe_patience.total_seconds()):
            checks = await services.readiness.checks()
    except TimeoutError:
        checks = [NamedCheck(name="probe", failure="took too long")]
    for check in checks:
        if check.needed and check.failure is not None:
            logger.warning("readiness check %s failed: %s", check.name, check.failure)
    return checks
