"""Is this body exactly one JSON document, the same to every reader? What Python's parser lets through."""

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute

from directory.http.problem_kinds import HttpProblem
from directory.http.problems import refuse


def load_json(octets: bytes) -> object:
    """Read one JSON text in UTF-8 (RFC 8259 section 8.1), without repeated names and beyond-JSON numbers.

    Raises:
        JSONDecodeError: it is not one. The error does not hold the text.
    """
    try:
        value: object = json.loads(
            octets.decode("utf-8"),
            object_pairs_hook=_object_without_repetition,
            parse_constant=_no_such_number,
        )
        # Half of a surrogate pair, escaped, comes through the parser and fails wherever it is stored
        # (RFC 8259 section 8.2).
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise json.JSONDecodeError("not strict JSON", doc="", pos=0) from None
    return value


def _object_without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # RFC 8259 section 4: what a repeated name means depends on the reader.
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated name")
    return members


def _no_such_number(name: str) -> NoReturn:
    raise ValueError(name)


class _StrictRequest(Request):
    async def json(self) -> Any:
        return load_json(await self.body())


class StrictJsonRoute(APIRoute):
    """A route whose body is strict JSON that says so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler behind the strict reader."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            if self.body_field is not None and not _is_json(request):
                raise refuse(HttpProblem.MEDIA_TYPE_UNSUPPORTED)
            return await handler(_StrictRequest(request.scope, request.receive))

        return strict


def _is_json(request: Request) -> bool:
    said = request.headers.getlist("content-type")
    return len(said) == 1 and said[0].partition(";")[0].strip().lower() == "application/json"
