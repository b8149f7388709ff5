"""How do registration agents get an escrowed key back, and recovery agents approve it? By their tokens.

What a registration agent fetches is the envelope, which nothing on line can open.
"""

import re
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from directory.callers import Agent, RecoveryAgent
from directory.errors import Unknown
from directory.http.authentication import AgentNeeded, RecoveryAgentNeeded, RecoveryPartyNeeded
from directory.http.models import RecoveryListResponse, RecoveryRequest, RecoveryResponse
from directory.http.openapi import CREDENTIALS, JSON_BODY, RECOVERY_AGENT_TOO, Responses, problems
from directory.http.problem_kinds import HttpProblem
from directory.http.services import HttpServices
from directory.http.strict_json import StrictJsonRoute
from directory.recovery_requests import Recovery, Requester

ENVELOPE_TYPE = "application/pkcs7-mime"
"""RFC 8551 section 3.2.1; with smime-type=enveloped-data."""

_IDENTIFIER = re.compile(r"[0-9a-f]{32}")
_KNOWN = (*CREDENTIALS, HttpProblem.RECORD_UNKNOWN)
_FETCHED: Responses = {
    200: {
        "description": "The envelope: CMS EnvelopedData, DER.",
        "headers": {
            "Recipient-Told": {
                "description": "`yes`: a mail to the recipient is queued; `no`: he wants none, so tell him.",
                "schema": {"type": "string", "enum": ["yes", "no"]},
            }
        },
        "content": {ENVELOPE_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    },
    **problems(
        *_KNOWN,
        HttpProblem.AGENT_REQUIRED,
        HttpProblem.RECOVERY_EXPIRED,
        HttpProblem.RECOVERY_FETCHED,
        HttpProblem.RECOVERY_NOT_APPROVED,
        HttpProblem.RECOVERY_NOT_REQUESTER,
        HttpProblem.RECOVERY_REQUESTER_IS_AGENT,
        HttpProblem.RECOVERY_REFUSED,
    ),
}


def recoveries_router(services: HttpServices) -> APIRouter:
    """Return the routes of recovery."""
    router = APIRouter(prefix="/api/v1", tags=["recovery"], route_class=StrictJsonRoute)
    agent_needed = AgentNeeded(services.authentication, services.settings)
    recovery_agent_needed = RecoveryAgentNeeded(services.authentication, services.settings)
    party_needed = RecoveryPartyNeeded(services.authentication, services.settings)
    desk = services.recoveries

    def described(recovery: Recovery) -> RecoveryResponse:
        return RecoveryResponse(
            recovery_id=recovery.recovery_id,
            enrolment_id=recovery.enrolment_id,
            address=str(recovery.mailbox),
            state=recovery.state_at(services.clock.now()),
            requested_by=recovery.requested_by,
            reason=recovery.reason,
            requested_at=recovery.requested_at,
            expires_at=recovery.expires_at,
            approvals_needed=recovery.approvals_needed,
            approved_by=[one.agent.name for one in recovery.approvals if not one.is_removed],
            fetched_at=recovery.fetched_at,
        )

    @router.post(
        "/enrolments/{enrolment_id}/recovery",
        responses=problems(
            *_KNOWN,
            *JSON_BODY,
            HttpProblem.AGENT_REQUIRED,
            HttpProblem.RECOVERY_NOT_ESCROWED,
            HttpProblem.RECOVERY_REASON_MISSING,
            HttpProblem.RECOVERY_REASON_UNUSABLE,
            HttpProblem.RECOVERY_REQUESTER_IS_AGENT,
            HttpProblem.RECOVERY_TOO_FEW_AGENTS,
            HttpProblem.RECOVERY_UNDER_WAY,
            HttpProblem.RECOVERY_REFUSED,
        ),
    )
    async def request_recovery(
        enrolment_id: str, body: RecoveryRequest, agent: Annotated[Agent, Depends(agent_needed)]
    ) -> RecoveryResponse:
        """Ask for the escrowed key of one of the organization's enrolments; it has to be approved."""
        requested_id = _checked("enrolment", enrolment_id)
        return described(await desk.request(requested_id, Requester.registration_agent(agent), body.reason))

    async def list_recoveries(
        party: Annotated[Agent | RecoveryAgent, Depends(party_needed)],
    ) -> RecoveryListResponse:
        """List the latest recoveries: a recovery agent sees all, a registration agent the organization's."""
        found = await desk.recoveries(_organization_of(party))
        return RecoveryListResponse(recoveries=[described(recovery) for recovery in found])

    async def read_recovery(
        recovery_id: str, party: Annotated[Agent | RecoveryAgent, Depends(party_needed)]
    ) -> RecoveryResponse:
        """Show where a recovery stands."""
        return described(await desk.recovery(_checked("recovery", recovery_id), _organization_of(party)))

    for path, endpoint, codes in (
        ("/recoveries", list_recoveries, (*CREDENTIALS, HttpProblem.AGENT_REQUIRED)),
        ("/recoveries/{recovery_id}", read_recovery, (*_KNOWN, HttpProblem.AGENT_REQUIRED)),
    ):
        router.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            responses=problems(*codes),
            openapi_extra=dict(RECOVERY_AGENT_TOO),
        )
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)

    @router.post(
        "/recoveries/{recovery_id}/approve",
        responses=problems(
            *_KNOWN,
            HttpProblem.RECOVERY_AGENT_REQUIRED,
            HttpProblem.RECOVERY_EXPIRED,
            HttpProblem.RECOVERY_FETCHED,
            HttpProblem.RECOVERY_OWN_REQUEST,
            HttpProblem.RECOVERY_ALREADY_APPROVED,
            HttpProblem.RECOVERY_AGENT_REMOVED,
            HttpProblem.RECOVERY_REFUSED,
        ),
    )
    async def approve_recovery(
        recovery_id: str, agent: Annotated[RecoveryAgent, Depends(recovery_agent_needed)]
    ) -> RecoveryResponse:
        """Approve this request, once per person; it counts until the request expires."""
        return described(await desk.approve(_checked("recovery", recovery_id), agent))

    @router.post("/recoveries/{recovery_id}/fetch", response_class=Response, responses=_FETCHED)
    async def fetch_key(recovery_id: str, agent: Annotated[Agent, Depends(agent_needed)]) -> Response:
        """Take the approved key out, once: the envelope, which opens off line; the recipient is told."""
        released = await desk.fetch(
            _checked("recovery", recovery_id),
            actor=f"agent:{agent.email}",
            organization_id=agent.organization_id,
        )
        return Response(
            content=released.envelope,
            media_type=f"{ENVELOPE_TYPE}; smime-type=enveloped-data; name=key.p7m",
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": 'attachment; filename="key.p7m"',
                "Recipient-Told": "yes" if released.recipient_is_told else "no",
            },
        )

    return router


def _organization_of(party: Agent | RecoveryAgent) -> str | None:
    return party.organization_id if isinstance(party, Agent) else None


def _checked(kind: str, identifier: str) -> str:
    """Return the identifier if it has the form of one; the store is not asked about anything else.

    Raises:
        Unknown: it has not.
    """
    if _IDENTIFIER.fullmatch(identifier) is None:
        raise Unknown(kind=kind, name="")
    return identifier
