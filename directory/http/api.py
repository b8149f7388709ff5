"""How do programs look addresses up, and agents' tools pass passwords on? The JSON interface.

Every route names whom it is for; a record of another organization does not exist (`Unknown`).
"""

import re
from typing import Annotated

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import APIRouter, Depends

from ca.address import Mailbox
from directory.callers import Agent, Gateway
from directory.delivery.outbox import DeliveryState
from directory.errors import Unknown
from directory.http.authentication import AgentNeeded, GatewayNeeded, MemberNeeded
from directory.http.mails import After, Limit, cursor_of, mail_response
from directory.http.models import (
    LONGEST_LIST,
    ChannelResponse,
    EnrolmentDetailResponse,
    EnrolmentResponse,
    LookupRequest,
    LookupResponse,
    RelayListResponse,
    RelayRequest,
    RelayResponse,
    ResendRequest,
    ResendResponse,
    RevealResponse,
    SpelledSymbolResponse,
)
from directory.http.openapi import CREDENTIALS, GATEWAY_TOO, JSON_BODY, LOOKUP, problems
from directory.http.problem_kinds import HttpProblem
from directory.http.problems import without_certificate
from directory.http.services import HttpServices
from directory.http.strict_json import StrictJsonRoute
from directory.lookup import Found, Minted, PublishedCertificate, Question
from directory.outbox_admin import MailFilter
from directory.status import EnrolmentStatus

_ENROLMENT_ID = re.compile(r"[0-9a-f]{32}")

_ENROLMENT = (*CREDENTIALS, HttpProblem.RECORD_UNKNOWN)


def api_router(services: HttpServices) -> APIRouter:
    """Return the routes of the JSON interface."""
    router = APIRouter(prefix="/api/v1", tags=["api"], route_class=StrictJsonRoute)
    gateway_needed = GatewayNeeded(services.authentication, services.settings)
    agent_needed = AgentNeeded(services.authentication, services.settings)
    member_needed = MemberNeeded(services.authentication, services.settings)

    @router.post(
        "/lookup", responses=problems(*CREDENTIALS, *LOOKUP, *JSON_BODY, HttpProblem.GATEWAY_REQUIRED)
    )
    async def look_up(
        body: LookupRequest, gateway: Annotated[Gateway, Depends(gateway_needed)]
    ) -> LookupResponse:
        """Look one address up; where nobody has a certificate and policy allows it, one is minted.

        The address is in the body, where no proxy logs it.
        """
        question = Question(
            mailbox=Mailbox.parse_international(body.email), asker=gateway, language=body.lang
        )
        match await services.answer(question):
            case Found(certificate=certificate):
                return _certificate(certificate, enrolment_id=None)
            case Minted(certificate=certificate, enrolment_id=enrolment_id):
                return _certificate(certificate, enrolment_id=enrolment_id)
            case refused:
                raise without_certificate(refused)

    async def list_relays(
        agent: Annotated[Agent, Depends(agent_needed)],
        after: After = None,
        limit: Limit = LONGEST_LIST,
    ) -> RelayListResponse:
        """List the enrolments of the agent's organization whose passwords are to be passed on."""
        awaiting = await services.enrolments.awaiting_relay(
            agent.organization_id, after=cursor_of(after), most=limit
        )
        goes_on = str(awaiting[-1].cursor) if len(awaiting) == limit else None
        return RelayListResponse(enrolments=[_enrolment(status) for status in awaiting], next=goes_on)

    listed = problems(*CREDENTIALS, HttpProblem.AGENT_REQUIRED, HttpProblem.FIELDS_INVALID)
    router.add_api_route("/enrolments", list_relays, methods=["GET"], responses=listed)
    router.add_api_route("/enrolments", list_relays, methods=["HEAD"], include_in_schema=False)

    async def read_enrolment(
        enrolment_id: str, member: Annotated[Gateway | Agent, Depends(member_needed)]
    ) -> EnrolmentDetailResponse:
        """Show where an enrolment of the caller's organization stands, and every mail about it."""
        status = await services.enrolments.enrolment(_checked(enrolment_id), member.organization_id)
        wanted = MailFilter(enrolment_id=status.enrolment_id, organization_id=member.organization_id)
        mails = await services.mails.mails(wanted, after=None, most=LONGEST_LIST)
        shown = dict(_enrolment(status))
        return EnrolmentDetailResponse(**shown, mails=[mail_response(mail) for mail in mails])

    router.add_api_route(
        "/enrolments/{enrolment_id}",
        read_enrolment,
        methods=["GET"],
        responses=problems(*_ENROLMENT),
        openapi_extra=dict(GATEWAY_TOO),
    )
    router.add_api_route(
        "/enrolments/{enrolment_id}", read_enrolment, methods=["HEAD"], include_in_schema=False
    )

    @router.post(
        "/enrolments/{enrolment_id}/password/reveal",
        responses=problems(
            *_ENROLMENT,
            HttpProblem.AGENT_REQUIRED,
            HttpProblem.RELAY_ALREADY_REVEALED,
            HttpProblem.RELAY_CLOSED,
            HttpProblem.RELAY_REFUSED,
        ),
    )
    async def reveal_password(
        enrolment_id: str, agent: Annotated[Agent, Depends(agent_needed)]
    ) -> RevealResponse:
        """Show the password of the key package, once, to the registration agent who will pass it on."""
        revealed = await services.relay_desk.reveal(_checked(enrolment_id), agent)
        return RevealResponse(
            password=revealed.password.reveal(),
            letters=revealed.spelling.letters,
            spelling=[
                [SpelledSymbolResponse(symbol=one.symbol, word=one.word) for one in group]
                for group in revealed.spelling.groups
            ],
        )

    @router.post(
        "/enrolments/{enrolment_id}/relay",
        responses=problems(
            *_ENROLMENT,
            *JSON_BODY,
            HttpProblem.AGENT_REQUIRED,
            HttpProblem.RELAY_CLOSED,
            HttpProblem.RELAY_NOT_REVEALED,
            HttpProblem.RELAY_NOTE_TOO_LONG,
            HttpProblem.RELAY_NOTE_NOT_TEXT,
            HttpProblem.RELAY_REFUSED,
        ),
    )
    async def record_relay(
        enrolment_id: str, body: RelayRequest, agent: Annotated[Agent, Depends(agent_needed)]
    ) -> RelayResponse:
        """Record what came of passing the password on."""
        state = await services.relay_desk.record(_checked(enrolment_id), agent, body.outcome, body.note)
        return RelayResponse(enrolment_id=enrolment_id, relay=state)

    @router.post(
        "/enrolments/{enrolment_id}/resend",
        responses=problems(
            *_ENROLMENT,
            *JSON_BODY,
            HttpProblem.AGENT_REQUIRED,
            HttpProblem.RESEND_NOT_LIVE,
            HttpProblem.RESEND_KEY_GONE,
            HttpProblem.RESEND_UNDER_WAY,
            HttpProblem.RESEND_BUDGET_SPENT,
            HttpProblem.RESEND_SUPPRESSED,
            HttpProblem.RESEND_REFUSED,
        ),
    )
    async def resend_key_mail(
        enrolment_id: str, body: ResendRequest, agent: Annotated[Agent, Depends(agent_needed)]
    ) -> ResendResponse:
        """Send the key package again: same key, same password, for a device that says "wrong password"."""
        await services.resender.resend_for_agent(_checked(enrolment_id), body.format, agent)
        return ResendResponse(enrolment_id=enrolment_id, delivery=DeliveryState.QUEUED)

    return router


def _checked(enrolment_id: str) -> str:
    """Return the identifier if it has the form of one; the store is not asked about anything else.

    Raises:
        Unknown: it has not.
    """
    if _ENROLMENT_ID.fullmatch(enrolment_id) is None:
        raise Unknown(kind="enrolment", name="")
    return enrolment_id


def _certificate(certificate: PublishedCertificate, *, enrolment_id: str | None) -> LookupResponse:
    pem = x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM)
    return LookupResponse(
        address=str(certificate.mailbox),
        certificate=pem.decode("ascii"),
        serial=f"{certificate.serial:x}",
        not_after=certificate.not_after,
        origin=certificate.origin,
        enrolment_id=enrolment_id,
    )


def _enrolment(status: EnrolmentStatus) -> EnrolmentResponse:
    return EnrolmentResponse(
        enrolment_id=status.enrolment_id,
        address=str(status.mailbox),
        serial=f"{status.serial:x}",
        minted_at=status.minted_at,
        not_after=status.not_after,
        live=status.live,
        key=status.key,
        delivery=status.delivery,
        delivery_attempts=status.delivery_attempts,
        last_failure=status.last_failure,
        accepted_at=status.accepted_at,
        relay=status.relay,
        package_format=status.package_format,
        revealed_at=status.revealed_at,
        closed_at=status.closed_at,
        expires_at=status.expires_at,
        released_through=status.released_through,
        channels=[
            ChannelResponse(
                channel=one.channel, state=one.state, attempts=one.attempts, last_failure=one.last_failure
            )
            for one in status.channels
        ],
        place=status.place,
        renews=status.renews,
        renewed_by=status.renewed_by,
    )
