"""How does a recipient confirm something: that he can read, or that he wants no more mail? With a button.

To look at either page does nothing, however often and by whomever: scanners follow every link in a mail.
"""

from collections.abc import Awaitable, Callable
from typing import assert_never

from fastapi import APIRouter, Request
from starlette.responses import Response

from directory.http.pages.door import Door, Visit
from directory.http.pages.forms import was_pressed
from directory.http.pages.rendering import message, page
from directory.http.pages.services import PageServices
from directory.links import LinkPurpose, PresentedLink
from directory.proof import AlreadyProven, LinkRefused, Proven
from directory.suppression import AlreadyStopped, Stopped


def add_confirming_pages(router: APIRouter, services: PageServices, door: Door) -> None:
    """Add the routes of the pages with one button."""

    async def prove(presented: PresentedLink) -> str | None:
        match await services.prove(presented):
            case Proven() | AlreadyProven():
                return "proven"
            case LinkRefused():
                return None
            case other:
                assert_never(other)

    async def stop(presented: PresentedLink) -> str | None:
        match await services.stop(presented):
            case Stopped() | AlreadyStopped():
                return "stopped"
            case LinkRefused():
                return None
            case other:
                assert_never(other)

    _add(router, door, LinkPurpose.PROOF, name="prove", confirm=prove)
    _add(router, door, LinkPurpose.STOP, name="stop", confirm=stop)


_THANKS = {"proven": ("text", "keep"), "stopped": ("text", "back")}


def _add(
    router: APIRouter,
    door: Door,
    purpose: LinkPurpose,
    *,
    name: str,
    confirm: Callable[[PresentedLink], Awaitable[str | None]],
) -> None:
    async def ask(token: str, request: Request) -> Response:
        async def room(visit: Visit) -> Response:
            if purpose is LinkPurpose.PROOF and visit.recipient.proven:
                return _thanks("proven", visit)
            return page(f"{name}.html", visit.speaking, action=token, token=token)

        return await door.admit(token, purpose, request, room)

    async def answer(token: str, request: Request) -> Response:
        async def room(visit: Visit) -> Response:
            if not await was_pressed(request, token):
                # Not our form: show it, and do nothing.
                return await ask(token, request)
            done = await confirm(visit.presented)
            return door.unknown(request) if done is None else _thanks(done, visit)

        return await door.admit(token, purpose, request, room)

    async def serve(token: str, request: Request) -> Response:
        return await (answer if request.method == "POST" else ask)(token, request)

    # One route, so that whoever tries another method is told of all three.
    router.add_api_route(f"/{name}/{{token}}", serve, methods=["GET", "HEAD", "POST"])


def _thanks(what: str, visit: Visit) -> Response:
    return message(what, *_THANKS[what], speaking=visit.speaking)
