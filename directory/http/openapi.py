"""How is the interface described to programs? What OpenAPI has to say that the types alone do not."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from ca.address import AddressRefusal
from directory.http.authentication import GATEWAY_SCHEME, RECOVERY_AGENT_SCHEME
from directory.http.certificate_query import CRL_ATTRIBUTES, IssuerAttribute
from directory.http.models import ProblemDocument
from directory.http.problem_kinds import PROBLEMS, HttpProblem, Problem
from directory.http.problems import MEDIA_TYPE, Report
from directory.policy import Refusal

Responses = dict[int | str, dict[str, Any]]

EVERYWHERE: tuple[str, ...] = (
    HttpProblem.HOST_MALFORMED,
    HttpProblem.HOST_UNKNOWN,
    HttpProblem.BODY_TOO_LARGE,
    HttpProblem.BODY_TOO_SLOW,
    HttpProblem.REQUEST_MALFORMED,
    HttpProblem.NO_SUCH_RESOURCE,
    HttpProblem.METHOD_NOT_ALLOWED,
    HttpProblem.RECORD_EXISTS,
    HttpProblem.STORE_UNAVAILABLE,
    HttpProblem.STORE_SCHEMA,
    HttpProblem.INTERNAL,
)
"""What any route may answer."""

CREDENTIALS: tuple[str, ...] = (
    HttpProblem.TOKEN_REQUIRED,
    HttpProblem.TOKEN_INVALID,
    HttpProblem.CREDENTIALS_MALFORMED,
    HttpProblem.TLS_REQUIRED,
    HttpProblem.TOKEN_IN_QUERY,
)
"""What a route that looks at tokens may answer."""

LOOKUP: tuple[str, ...] = (*Refusal, *AddressRefusal)
"""What a route that answers questions for an address may answer."""

JSON_BODY: tuple[str, ...] = (
    HttpProblem.MEDIA_TYPE_UNSUPPORTED,
    HttpProblem.JSON_MALFORMED,
    HttpProblem.FIELDS_INVALID,
)
"""What a route that reads JSON may answer."""

GATEWAY_TOO: Mapping[str, Any] = MappingProxyType({"security": [{GATEWAY_SCHEME: []}]})
"""A route for agents is for gateways as well."""

RECOVERY_AGENT_TOO: Mapping[str, Any] = MappingProxyType({"security": [{RECOVERY_AGENT_SCHEME: []}]})
"""A route for registration agents is for recovery agents as well."""

ANONYMOUS_TOO: Mapping[str, Any] = MappingProxyType({"security": [{}]})
"""A route for gateways is for the anonymous as well, where the operator lets them."""


def problems(*codes: str) -> Responses:
    """Describe the problems a route may answer with, grouped by status."""
    grouped: defaultdict[int, list[Problem]] = defaultdict(list)
    for code in codes:
        problem = PROBLEMS[code]
        grouped[problem.status.value].append(problem)
    described: Responses = {status: _described(kinds) for status, kinds in sorted(grouped.items())}
    described["default"] = _described(PROBLEMS[code] for code in EVERYWHERE)
    return described


def certificate_query_parameters() -> list[dict[str, Any]]:
    """Describe the attributes of RFC 4387 section 2.2; they are read from the octets of the query itself."""
    address = {"type": "string", "format": "email"}
    digest = {"type": "string", "pattern": "^[A-Za-z0-9+/]{27}$"}
    described = [
        _parameter("email", "The recipient's complete address.", address, example="anna@clinic.example"),
        _parameter("uri", "Another name for `email`.", address),
    ]
    for attribute in IssuerAttribute:
        by_name = attribute is IssuerAttribute.NAME
        text = "The common name" if by_name else "RFC 4387 section 2.1 hash"
        described.append(
            _parameter(
                attribute.value,
                f"{text}; finds the certificates of issuing and root CAs only.",
                {"type": "string"} if by_name else digest,
            )
        )
    return described


def crl_query_parameters() -> list[dict[str, Any]]:
    """Describe the attributes by which a CRL is found."""
    digest = {"type": "string", "pattern": "^[A-Za-z0-9+/]{27}$"}
    return [
        _parameter(name, "RFC 4387 section 2.1 hash of the issuer's name or key identifier.", digest)
        for name in CRL_ATTRIBUTES
    ]


def complete(schema: dict[str, Any]) -> dict[str, Any]:
    """Add the shape of a problem document, which no route returns by itself."""
    shape = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    components.update(shape.pop("$defs"))
    components[ProblemDocument.__name__] = shape
    return schema


def _described(kinds: Iterable[Problem]) -> dict[str, Any]:
    kinds = list(kinds)
    return {
        "description": "; ".join(dict.fromkeys(kind.title for kind in kinds)),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"},
                "examples": {
                    kind.code: {
                        "summary": kind.title,
                        "value": Report(problem=kind).document.model_dump(exclude_defaults=True),
                    }
                    for kind in kinds
                },
            }
        },
    }


def _parameter(
    name: str, description: str, schema: dict[str, str], example: str | None = None
) -> dict[str, Any]:
    parameter = {"name": name, "in": "query", "description": description, "schema": schema}
    return parameter if example is None else {**parameter, "example": example}
