"""What happens to every request before a route is matched, and to every answer after it?

From the outside to the inside: the access log, the headers of every answer, the barrier against the
unforeseen, the list of host names, the limit of the body. None of them looks at the path or the caller.
"""

import asyncio
import logging
import re
import time
import traceback
from collections.abc import Iterator

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from directory.http.problem_kinds import HttpProblem
from directory.http.problems import refuse, report_of
from directory.http.services import HttpSettings, RequestTally

ACCESS_LOGGER = "directory.http.access"

logger = logging.getLogger(__name__)
access_logger = logging.getLogger(ACCESS_LOGGER)

_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
UNLESS_SAID = {
    "Cache-Control": "no-store",
    # Nothing this interface answers is a page; a route that serves one says what the page may do.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class AccessLog:
    """Logs and counts who used which route, with what result; never the path, the query or a header.

    Paths and queries hold addresses, and whatever else a caller cares to write into a log.
    """

    def __init__(self, app: ASGIApp, tally: RequestTally) -> None:
        self._app = app
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and log the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in _KNOWN_METHODS else "unknown"
            caller = scope.get("state", {}).get("caller", "anonymous")
            self._tally[method, route, str(status)] += 1
            milliseconds = (time.perf_counter() - began) * 1000
            access_logger.info("%s %s %d %.1f ms %s", method, route, status, milliseconds, caller)


class AnswerHeaders:
    """Puts the headers on every answer that keep browsers and caches from doing more than they should."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the headers."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ALWAYS.items():
                    headers[name] = value
                for name, value in UNLESS_SAID.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


class Barrier:
    """Turns what nobody foresaw into an answer without its text, and a log entry without its values.

    An exception's text may hold what the failing code was given: an address, a password.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, whatever happens inside."""
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:  # noqa: BLE001 - the top of a request: a failure is an answer
            # Not `exception()`: that would log the text.
            logger.error("a request failed:\n%s", "".join(_without_text(error)))  # noqa: TRY400 - see above
            if not begun:
                await report_of(error).response()(scope, receive, send)


class HostAllowList:
    """Refuses requests that name another host than this service's (RFC 9110 section 7.4).

    So a page that has its name point here (DNS rebinding) gets nothing, and no link is ever built from a
    name that a stranger made up.
    """

    _HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._allowed = frozenset(host.strip("[]").lower() for host in settings.allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer requests for this service."""
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await report_of(refuse(problem)).response()(scope, receive, send)

    def _problem(self, scope: Scope) -> HttpProblem | None:
        named = Headers(scope=scope).getlist("host")
        host = self._HOST.fullmatch(named[0]) if len(named) == 1 else None
        if host is None:
            return HttpProblem.HOST_MALFORMED
        return None if host[1].strip("[]").lower() in self._allowed else HttpProblem.HOST_UNKNOWN


class BodyLimit:
    """Reads the body before anything else happens: not too much of it, and not for too long."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._most = settings.largest_body
        self._patience = settings.body_patience.total_seconds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer requests whose body is here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._patience):
                body = await self._read(scope, receive)
        except TimeoutError:
            # What arrives later must not be taken for the next request.
            problem = refuse(HttpProblem.BODY_TOO_SLOW, {"Connection": "close"})
            await report_of(problem).response()(scope, receive, send)
            return
        if body is None:
            problem = refuse(HttpProblem.BODY_TOO_LARGE, {"Connection": "close"})
            await report_of(problem).response()(scope, receive, send)
            return
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the body; None if it is too large, or is announced to be."""
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced) > self._most:
            return None
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._most:
                return None
            if not message.get("more_body", False):  # a caller that hung up has nothing more to say
                return bytes(body)


def _without_text(error: BaseException) -> Iterator[str]:
    """Yield where an error came from, cause first, without what it says."""
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None:
        yield from _without_text(earlier)
        yield "which led to\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"
