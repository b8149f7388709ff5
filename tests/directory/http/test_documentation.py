import json
import re
from pathlib import Path

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from directory.http.problem_kinds import PROBLEMS
from directory.http.problems import Report
from tests.directory.http.house import House

REFERENCE = Path(__file__).parents[3] / "docs" / "http-api.md"


def test_the_reference_names_every_route_and_no_other(house: House) -> None:
    routes = {
        f"{method} {context.path}"
        for context in iter_route_contexts(house.app().routes)
        for method in (context.methods or set()) - {"HEAD"}
    }

    named = set(re.findall(r"`((?:GET|POST) /[^`]*)`", REFERENCE.read_text(encoding="utf-8")))

    # OCSP is answered before any route is looked for.
    assert named == routes | {"POST /ocsp", "GET /ocsp/{base64}"}


def test_the_problem_in_the_reference_is_the_one_that_is_sent() -> None:
    shown = re.findall(r"```json\n(.*?)```", REFERENCE.read_text(encoding="utf-8"), re.DOTALL)[-1]

    assert json.loads(shown) == Report(problem=PROBLEMS["policy.own_domain"]).document.model_dump(
        exclude_defaults=True
    )


async def test_the_page_shows_every_operation_and_every_problem(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    schema = (await client.get("/openapi.json")).json()

    for path, methods in schema["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}" in page
    for code in PROBLEMS:
        assert f"/problems/{code}" in page


@pytest.mark.parametrize("path", ["/docs", "/problems/policy.own_domain"])
async def test_a_page_holds_everything_it_shows(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "script" not in response.text
    assert all(link.startswith("/") for link in re.findall(r'(?:href|src)="([^"]*)"', response.text))
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")


async def test_the_type_of_every_problem_leads_to_its_description(client: httpx.AsyncClient) -> None:
    for problem in PROBLEMS.values():
        response = await client.get(problem.type_uri)

        assert response.status_code == 200
        assert f"Status {problem.status.value}" in response.text


@pytest.mark.parametrize("code", ["x", "<script>", "policy.own_domain%00", "..%2fdocs"])
async def test_what_is_no_problem_has_no_page(client: httpx.AsyncClient, code: str) -> None:
    response = await client.get(f"/problems/{code}")

    assert (response.status_code, response.json()["code"]) == (404, "http.not_found")
