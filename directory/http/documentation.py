"""How is the interface described to people? One page made from the OpenAPI document, and one per problem.

The pages hold everything they show: no script, and nothing from another server, which would learn who reads
them and fail where there is no way out.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from fastapi import FastAPI
from starlette.responses import HTMLResponse, Response

from directory.http.problem_kinds import PROBLEMS, HttpProblem
from directory.http.problems import refuse

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font-family: ui-monospace, monospace; background: #8882; border-radius: 3px; padding: 0 .2em; }
pre { padding: .8em; overflow-x: auto; } section { border-top: 1px solid #8888; margin-top: 2rem; }
table { border-collapse: collapse; }
td { padding: .2rem 1rem .2rem 0; vertical-align: top; }
:root { color-scheme: light dark; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "public, max-age=300",
}


def add_documentation(app: FastAPI) -> None:
    """Add the pages to the application they describe."""

    async def show_interface() -> Response:
        return _page("The HTTP interface", _interface(app.openapi()))

    async def show_problem(code: str) -> Response:
        if code not in PROBLEMS:
            raise refuse(HttpProblem.NO_SUCH_RESOURCE)
        return _page(code, _problem(code))

    for path, endpoint in (("/docs", show_interface), ("/problems/{code}", show_problem)):
        for method in ("GET", "HEAD"):
            app.add_api_route(
                path, endpoint, methods=[method], include_in_schema=False, response_class=HTMLResponse
            )


def _page(title: str, body: Iterable[str]) -> Response:
    content = (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n" + "\n".join(body) + "\n</html>\n"
    )
    return HTMLResponse(content, headers=_HEADERS)


def _interface(schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"<p>{escape(schema['info']['description'])}</p>"
    yield '<p>For programs: <a href="/openapi.json">openapi.json</a> (OpenAPI).</p>'
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            yield from _operation(f"{method.upper()} {path}", operation)
    yield "<section><h2>Problems</h2><table>"
    for problem in PROBLEMS.values():
        link = f'<a href="{escape(problem.type_uri)}"><code>{escape(problem.code)}</code></a>'
        yield f"<tr><td>{link}<td>{problem.status.value}<td>{escape(problem.title)}"
    yield "</table></section>"


def _operation(heading: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<section><h2><code>{escape(heading)}</code></h2>"
    yield from (f"<p>{escape(part)}</p>" for part in operation["description"].split("\n\n"))
    yield f"<p>Token: {escape(_tokens(operation.get('security', [])))}</p>"
    if parameters := operation.get("parameters", []):
        yield "<table>"
        for parameter in parameters:
            name, text = parameter["name"], parameter.get("description", "")
            yield f"<tr><td><code>{escape(name)}</code><td>{escape(parameter['in'])}<td>{escape(text)}"
        yield "</table>"
    yield "<table>"
    for status, response in operation["responses"].items():
        yield f"<tr><td>{escape(status)}<td>{escape(response['description'])}"
    yield "</table></section>"


def _tokens(security: Iterable[Mapping[str, Any]]) -> str:
    names = [" and ".join(alternative) or "none, where the operator allows it" for alternative in security]
    return " or ".join(names) or "none"


def _problem(code: str) -> Iterator[str]:
    problem = PROBLEMS[code]
    yield f"<p><strong>{escape(problem.title)}.</strong> {escape(problem.detail)}</p>"
    yield f"<p>Status {problem.status.value} ({escape(problem.status.phrase)}).</p>"
    yield '<p><a href="/docs">The HTTP interface</a></p>'
