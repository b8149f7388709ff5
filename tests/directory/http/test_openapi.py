from typing import Any

import httpx
import pytest

from directory.http.problem_kinds import PROBLEMS

PUBLIC = {
    "/ca/chain.pem",
    "/ca/{issuer_id}.cer",
    "/ca/{issuer_id}.p7c",
    "/ca/{issuer_id}.pem",
    "/crl/{issuer_id}.crl",
    "/crl/{issuer_id}/{partition}.crl",
    "/crls",
    "/healthz",
    "/readyz",
}


@pytest.fixture
async def schema(client: httpx.AsyncClient) -> dict[str, Any]:
    schema: dict[str, Any] = (await client.get("/openapi.json")).json()
    return schema


def operations(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


def test_every_problem_is_documented_where_it_can_be_met(schema: dict[str, Any]) -> None:
    documented = {
        code
        for operation in operations(schema).values()
        for response in operation["responses"].values()
        for code in response.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }

    assert documented == set(PROBLEMS)


def test_an_examples_status_is_the_one_it_stands_under(schema: dict[str, Any]) -> None:
    for operation in operations(schema).values():
        for status, response in operation["responses"].items():
            examples = response.get("content", {}).get("application/problem+json", {}).get("examples", {})
            assert status == "default" or {str(e["value"]["status"]) for e in examples.values()} <= {status}


def test_every_operation_says_whose_token_it_wants(schema: dict[str, Any]) -> None:
    wanted = {name: operation.get("security", []) for name, operation in operations(schema).items()}

    enrolment = "/api/v1/enrolments/{enrolment_id}"
    recovery = "/api/v1/recoveries/{recovery_id}"
    assert wanted == {
        "get /certificates": [{"gatewayToken": []}, {}],
        "get /search.cgi": [{"gatewayToken": []}, {}],
        "post /api/v1/lookup": [{"gatewayToken": []}],
        "get /api/v1/enrolments": [{"agentToken": []}],
        "get /api/v1/mails": [{"agentToken": []}],
        f"get {enrolment}": [{"agentToken": []}, {"gatewayToken": []}],
        f"post {enrolment}/password/reveal": [{"agentToken": []}],
        f"post {enrolment}/relay": [{"agentToken": []}],
        f"post {enrolment}/resend": [{"agentToken": []}],
        f"post {enrolment}/recovery": [{"agentToken": []}],
        "get /api/v1/recoveries": [{"agentToken": []}, {"recoveryAgentToken": []}],
        f"get {recovery}": [{"agentToken": []}, {"recoveryAgentToken": []}],
        f"post {recovery}/approve": [{"recoveryAgentToken": []}],
        f"post {recovery}/fetch": [{"agentToken": []}],
        **{f"get {path}": [] for path in PUBLIC},
    }
    assert set(schema["components"]["securitySchemes"]) == {
        "gatewayToken",
        "agentToken",
        "recoveryAgentToken",
    }


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    def references(node: object) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*(references(value) for value in node.values()))
        if isinstance(node, list):
            return set[str]().union(*(references(value) for value in node))
        return set()

    shapes = {f"#/components/schemas/{name}" for name in schema["components"]["schemas"]}
    assert "#/components/schemas/ProblemDocument" in references(schema)
    assert references(schema) <= shapes


def test_every_json_shape_has_an_example_and_every_operation_a_description(schema: dict[str, Any]) -> None:
    for name, shape in schema["components"]["schemas"].items():
        if name.endswith(("Request", "Response")) and name != "AliveResponse":
            assert shape["examples"], name
    for operation in operations(schema).values():
        assert operation["description"]


def test_the_frameworks_own_error_shape_is_nowhere(schema: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in schema["components"]["schemas"]
