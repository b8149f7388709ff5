"""Where do an organization's outgoing mails stand? For its registration agents; never what a mail says."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from directory.callers import Agent
from directory.cursors import CURSOR_PATTERN, Cursor
from directory.delivery.outbox import MailKind, MailState
from directory.http.authentication import AgentNeeded
from directory.http.models import LONGEST_LIST, MailListResponse, MailResponse
from directory.http.openapi import CREDENTIALS, problems
from directory.http.problem_kinds import HttpProblem
from directory.http.services import HttpServices
from directory.outbox_admin import MailFilter, MailRecord

After = Annotated[
    str | None, Query(pattern=CURSOR_PATTERN, description="Go on behind where a former list ended.")
]
Limit = Annotated[int, Query(ge=1, le=LONGEST_LIST, description="At most so many.")]


def mails_router(services: HttpServices) -> APIRouter:
    """Return the routes that show outgoing mails."""
    router = APIRouter(prefix="/api/v1", tags=["api"])
    agent_needed = AgentNeeded(services.authentication, services.settings)

    async def list_mails(
        agent: Annotated[Agent, Depends(agent_needed)],
        state: Annotated[MailState | None, Query(description="Only in this state.")] = None,
        kind: Annotated[MailKind | None, Query(description="Only of this kind.")] = None,
        after: After = None,
        limit: Limit = LONGEST_LIST,
    ) -> MailListResponse:
        """List the outgoing mails of the agent's organization, the newest first."""
        wanted = MailFilter(state=state, kind=kind, organization_id=agent.organization_id)
        mails = await services.mails.mails(wanted, after=cursor_of(after), most=limit)
        goes_on = str(mails[-1].cursor) if len(mails) == limit else None
        return MailListResponse(mails=[mail_response(mail) for mail in mails], next=goes_on)

    described = problems(*CREDENTIALS, HttpProblem.AGENT_REQUIRED, HttpProblem.FIELDS_INVALID)
    router.add_api_route("/mails", list_mails, methods=["GET"], responses=described)
    router.add_api_route("/mails", list_mails, methods=["HEAD"], include_in_schema=False)
    return router


def cursor_of(text: str | None) -> Cursor | None:
    """Read where a list goes on; its form has been checked."""
    return None if text is None else Cursor.parse(text)


def mail_response(mail: MailRecord) -> MailResponse:
    """Describe a mail."""
    waits = mail.state is MailState.QUEUED
    return MailResponse(
        mail_id=mail.mail_id,
        enrolment_id=mail.enrolment_id,
        kind=mail.kind,
        recipient=str(mail.recipient),
        message_id=mail.message_id,
        state=mail.state,
        attempts=mail.attempts,
        last_failure=mail.last_failure,
        created_at=mail.created_at,
        next_attempt_at=mail.due_at if waits else None,
        give_up_at=mail.give_up_at if waits else None,
        ended_at=mail.ended_at,
    )
