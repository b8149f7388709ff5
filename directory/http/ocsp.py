"""How are OCSP requests and responses carried over HTTP (RFC 6960 appendix A, RFC 5019 sections 5 and 6)?

Public, for everybody; `/ocsp` is the place that certificates name, and is asked most: it is answered before
any route is matched. The defences of all requests lie before it.
"""

import binascii
from base64 import b64decode
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from directory.clock import Clock
from directory.http.conditional import has_it_already, http_date
from directory.http.problem_kinds import HttpProblem
from directory.http.problems import refuse, report_of
from directory.ocsp import OcspDesk
from directory.ocsp_memory import OcspAnswer

OCSP_RESPONSE_TYPE: Final = "application/ocsp-response"
_PATH: Final = "/ocsp"
_READING: Final = frozenset({"GET", "HEAD"})

_LONGEST_AGE: Final = timedelta(minutes=1)
"""So much may a cache on the way add to the time that a revocation takes to be seen."""


@dataclass(frozen=True, slots=True)
class _Route:
    """What the access log calls this route: without the request, which is in the path."""

    path: str


_ROUTE: Final = _Route(_PATH)


class OcspRoute:
    """Answers OCSP requests, and hands all others on."""

    def __init__(self, app: ASGIApp, desk: OcspDesk, clock: Clock) -> None:
        self._app = app
        self._desk = desk
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, if it is about OCSP."""
        path: str = scope.get("path", "")
        if scope["type"] != "http" or not (path == _PATH or path.startswith(f"{_PATH}/")):
            await self._app(scope, receive, send)
            return
        scope["route"] = _ROUTE
        response = await self._response(Request(scope, receive), path)
        await response(scope, receive, send)

    async def _response(self, request: Request, path: str) -> Response:
        if request.method in _READING:
            asked = _decoded(path)
        elif request.method == "POST" and path in {_PATH, f"{_PATH}/"}:
            asked = await request.body()
        else:
            allowed = {"Allow": "GET, HEAD, POST"}
            return report_of(refuse(HttpProblem.METHOD_NOT_ALLOWED, allowed)).response()
        answer = await self._desk.answer(asked)
        headers = self._headers(answer)
        if answer.tag and request.method in _READING and _has_it(request, answer, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(content=answer.der, media_type=OCSP_RESPONSE_TYPE, headers=headers)

    def _headers(self, answer: OcspAnswer) -> dict[str, str]:
        if answer.period is None:
            return {"Cache-Control": "no-store"}
        left = answer.period.next_update - self._clock.now()
        age = max(0, int(min(left, _LONGEST_AGE).total_seconds()))
        return {
            "ETag": f'"{answer.tag}"',
            "Last-Modified": http_date(answer.period.this_update),
            "Expires": http_date(answer.period.next_update),
            "Cache-Control": f"max-age={age}, public, no-transform, must-revalidate",
        }


def _decoded(path: str) -> bytes:
    """Return the request in a path: base64, whose percent signs the server has already undone."""
    try:
        return b64decode(path.removeprefix(_PATH).removeprefix("/"), validate=True)
    except (binascii.Error, ValueError):
        return b""  # not a request either


def _has_it(request: Request, answer: OcspAnswer, etag: str) -> bool:
    return answer.period is not None and has_it_already(request, etag, answer.period.this_update)
