"""Which recipient pages are there?"""

from fastapi import APIRouter, Request
from starlette.responses import Response

from directory.clock import Clock
from directory.http.pages.confirming import add_confirming_pages
from directory.http.pages.door import Door
from directory.http.pages.installation import add_installation_pages
from directory.http.pages.services import PageServices
from directory.http.services import HttpSettings


def pages_router(services: PageServices, settings: HttpSettings, clock: Clock) -> APIRouter:
    """Return the routes of the pages that links in mails lead to."""
    router = APIRouter(prefix="/install", include_in_schema=False)
    door = Door(services, settings, clock)

    async def show_nothing(request: Request) -> Response:
        return door.unknown(request)

    add_confirming_pages(router, services, door)
    add_installation_pages(router, services, door)
    # A link that a mail program has torn apart still ends at words, not at a document for programs.
    router.add_api_route("/{rest:path}", show_nothing, methods=["GET", "HEAD"])
    return router
