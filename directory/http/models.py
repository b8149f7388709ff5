"""Which JSON does the HTTP interface read and write? Shapes only; nothing in here decides."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.config import JsonDict

from ca.keypackage import KeyPackageFormat
from directory.delivery.outbox import DeliveryState, MailKind, MailState
from directory.languages import LANGUAGE_PATTERN
from directory.lookup import Origin
from directory.recovery_requests import RecoveryState
from directory.relay import LONGEST_NOTE, PasswordChannel, RelayOutcome, RelayState
from directory.spelling import LetterCase
from directory.status import ChannelState, KeyState, Place


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Moment = Annotated[
    datetime,
    PlainSerializer(_rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment as RFC 3339 section 5.6 writes it: UTC, whole seconds, `Z`."""

ENROLMENT_ID = "5f0c8c2a4d1e4b7f9a3d6e8b7c1a2f30"
_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIE...\n-----END CERTIFICATE-----\n"


LONGEST_LIST = 500
"""How many things are listed at once, at most; the answer says where to go on."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LookupRequest(_Shape):
    """One question for one complete address."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"email": "anna@clinic.example"}]})

    email: str = Field(description="The recipient's complete address.")
    lang: str | None = Field(
        default=None,
        pattern=f"^{LANGUAGE_PATTERN}$",
        description="Which language the recipient is written to in; otherwise his organization's.",
    )


class LookupResponse(_Shape):
    """The certificate of one address."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "address": "anna@clinic.example",
                    "certificate": _CERTIFICATE,
                    "serial": "3f9c62a1d07e4b58",
                    "not_after": "2028-03-01T10:00:00Z",
                    "origin": "minted",
                    "enrolment_id": ENROLMENT_ID,
                }
            ]
        }
    )

    address: str = Field(description="The address in the certificate.")
    certificate: str = Field(description="PEM, RFC 7468 section 5.")
    serial: str = Field(description="The serial number in hexadecimal, without leading zeros.")
    not_after: Moment
    origin: Origin = Field(description="`found`: there was one; `minted`: it was made for this question.")
    enrolment_id: str | None = Field(description="The enrolment this question caused, if it caused one.")


_CHANNEL_EXAMPLE: JsonDict = {
    "channel": "webhook",
    "state": "queued",
    "attempts": 2,
    "last_failure": "status.503",
}
_ENROLMENT_EXAMPLE: JsonDict = {
    "enrolment_id": ENROLMENT_ID,
    "address": "anna@clinic.example",
    "serial": "3f9c62a1d07e4b58",
    "minted_at": "2026-03-01T10:00:00Z",
    "not_after": "2028-03-01T10:00:00Z",
    "live": True,
    "key": "held",
    "package_format": "compatible",
    "delivery": "accepted",
    "delivery_attempts": 1,
    "last_failure": None,
    "accepted_at": "2026-03-01T10:00:02Z",
    "relay": "waiting",
    "revealed_at": None,
    "closed_at": None,
    "expires_at": "2026-03-31T10:00:00Z",
    "released_through": None,
    "channels": [_CHANNEL_EXAMPLE],
    "place": "leading",
    "renews": None,
    "renewed_by": None,
}


class ChannelResponse(_Shape):
    """How a channel other than the agents stands that brings the organization the password."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CHANNEL_EXAMPLE]})

    channel: PasswordChannel = Field(description="`webhook`: its own system is told; `mail`: encrypted mail.")
    state: ChannelState
    attempts: int
    last_failure: str | None = Field(description="What the last unsuccessful attempt ran into.")


class EnrolmentResponse(_Shape):
    """Where an enrolment stands."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ENROLMENT_EXAMPLE]})

    enrolment_id: str
    address: str
    serial: str
    minted_at: Moment
    not_after: Moment
    live: bool = Field(description="Whether lookups are answered with its certificate, or will be.")
    key: KeyState = Field(description="What has become of the service's copy of the private key.")
    package_format: KeyPackageFormat = Field(description="In which the key package was sent last.")
    delivery: DeliveryState = Field(description="Where the key mail stands.")
    delivery_attempts: int
    last_failure: str | None = Field(description="What the last unsuccessful attempt ran into.")
    accepted_at: Moment | None
    relay: RelayState = Field(description="Where the password stands.")
    revealed_at: Moment | None
    closed_at: Moment | None
    expires_at: Moment = Field(description="When a password that nobody has is destroyed.")
    released_through: PasswordChannel | None = Field(description="How the organization got the password.")
    channels: list[ChannelResponse]
    place: Place = Field(
        description=(
            "`leading`: its certificate is the first in the answers; `waiting`: it is not served yet, but "
            "will take the place of the one it renews; `overtaken`: it is served behind its renewal."
        )
    )
    renews: str | None = Field(description="The enrolment whose certificate it renews.")
    renewed_by: str | None = Field(description="The enrolment that renews it.")


_MAIL_EXAMPLE: JsonDict = {
    "mail_id": "b1c2d3e4f5061728394a5b6c7d8e9f00",
    "enrolment_id": ENROLMENT_ID,
    "kind": "key",
    "recipient": "anna@clinic.example",
    "message_id": f"<{ENROLMENT_ID}.key@hospital.example>",
    "state": "queued",
    "attempts": 2,
    "last_failure": "RCPT: 450 4.2.0 greylisted",
    "created_at": "2026-03-01T10:00:00Z",
    "next_attempt_at": "2026-03-01T10:04:12Z",
    "give_up_at": "2026-03-06T10:00:00Z",
    "ended_at": None,
}


class MailResponse(_Shape):
    """Where one outgoing mail stands; not what it says."""

    model_config = ConfigDict(json_schema_extra={"examples": [_MAIL_EXAMPLE]})

    mail_id: str
    enrolment_id: str
    kind: MailKind
    recipient: str = Field(description="Whom it goes to.")
    message_id: str = Field(description="Its Message-ID, the same in every copy.")
    state: MailState
    attempts: int
    last_failure: str | None = Field(description="What the last unsuccessful attempt ran into.")
    created_at: Moment
    next_attempt_at: Moment | None = Field(description="While it is queued.")
    give_up_at: Moment | None = Field(description="While it is queued: when the last attempt is made.")
    ended_at: Moment | None


class MailListResponse(_Shape):
    """Outgoing mails, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"mails": [_MAIL_EXAMPLE], "next": None}]})

    mails: list[MailResponse]
    next: str | None = Field(description="What `after` has to be to go on; null at the end.")


class EnrolmentDetailResponse(EnrolmentResponse):
    """Where an enrolment stands, with every mail about it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_ENROLMENT_EXAMPLE, "mails": [_MAIL_EXAMPLE]}]}
    )

    mails: list[MailResponse] = Field(description="The newest first.")


class RelayListResponse(_Shape):
    """The list of people to call."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"enrolments": [_ENROLMENT_EXAMPLE], "next": None}]}
    )

    enrolments: list[EnrolmentResponse] = Field(
        description=(
            "Enrolments whose password is to be passed on, those not yet called first, and those whom no key "
            "mail reached."
        )
    )
    next: str | None = Field(description="What `after` has to be to go on; null at the end.")


class SpelledSymbolResponse(_Shape):
    """One symbol of a password, and the word that is said for it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"symbol": "7", "word": "seven"}]})

    symbol: str = Field(repr=False)
    word: str = Field(repr=False)


class RevealResponse(_Shape):
    """The password of a key package, shown once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "password": "7K3QX-9M2TD-VB4NR-0HWZ8-5CEGJ",
                    "letters": "capitals",
                    "spelling": [[{"symbol": "7", "word": "seven"}, {"symbol": "K", "word": "Kilo"}]],
                }
            ]
        }
    )

    password: str = Field(
        description="To be passed on by voice, exactly as shown; never by mail.", repr=False
    )
    letters: LetterCase = Field(description="How all its letters are written.")
    spelling: list[list[SpelledSymbolResponse]] = Field(
        description=(
            "Its groups, symbol by symbol, in the recipient's language; the hyphen is the last of its group. "
            "All symbols, one behind the other, are the password."
        ),
        repr=False,
    )


class RelayRequest(_Shape):
    """What came of passing the password on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"outcome": "relayed", "note": "called back on the number in the patient record"}]
        }
    )

    # Strict would want the enum's member itself, which JSON cannot hold.
    outcome: Annotated[RelayOutcome, Field(strict=False)]
    note: str = Field(default="", description=f"At most {LONGEST_NOTE} characters; no secret belongs here.")


class RelayResponse(_Shape):
    """Where the relay stands after that."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"enrolment_id": ENROLMENT_ID, "relay": "relayed"}]}
    )

    enrolment_id: str
    relay: RelayState


class AliveResponse(_Shape):
    """The process answers."""

    status: Literal["alive"] = "alive"


class ReadinessResponse(_Shape):
    """Whether the process can do its work."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"status": "ready", "checks": {"database": "passed", "key_pool": "passed"}}]
        }
    )

    status: Literal["ready", "not_ready"]
    checks: dict[str, Literal["passed", "failed"]]


class FieldProblem(_Shape):
    """One thing that is wrong with a field of the request."""

    pointer: str = Field(description="The field, as JSON Pointer (RFC 6901); empty for the whole body.")
    detail: str


class ProblemDocument(_Shape):
    """A problem document, RFC 9457."""

    type: str = Field(description="Where this kind of problem is described; relative to this service.")
    title: str
    status: int
    detail: str
    code: str = Field(description="What went wrong; stable, made for programs.")
    errors: list[FieldProblem] = Field(default=[], description="The fields at fault, where fields are.")


class ResendRequest(_Shape):
    """In which format the key package is sent again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"format": "modern"}]})

    # Strict would want the enum's member itself, which JSON cannot hold.
    format: Annotated[KeyPackageFormat | None, Field(strict=False)] = Field(
        default=None, description="`compatible` for older devices, `modern` for newer ones; else as before."
    )


class ResendResponse(_Shape):
    """Where the delivery stands after that."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"enrolment_id": ENROLMENT_ID, "delivery": "queued"}]}
    )

    enrolment_id: str
    delivery: DeliveryState


_RECOVERY_EXAMPLE: JsonDict = {
    "recovery_id": "0b1c6d1f4a5e4d2f8c7b6a5940312213",
    "enrolment_id": ENROLMENT_ID,
    "address": "anna@clinic.example",
    "state": "pending",
    "requested_by": "agent:desk@hospital.example",
    "reason": "laptop lost, case 4711",
    "requested_at": "2026-11-22T09:30:00Z",
    "expires_at": "2026-11-23T09:30:00Z",
    "approvals_needed": 2,
    "approved_by": ["rosa"],
    "fetched_at": None,
}


class RecoveryRequest(_Shape):
    """Why an escrowed key is asked for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "laptop lost, case 4711"}]})

    reason: str = Field(description="At most 500 characters; the recovery agents read it.")


class RecoveryResponse(_Shape):
    """Where a recovery stands."""

    model_config = ConfigDict(json_schema_extra={"examples": [_RECOVERY_EXAMPLE]})

    recovery_id: str
    enrolment_id: str
    address: str = Field(description="Whose key it is.")
    state: RecoveryState
    requested_by: str
    reason: str
    requested_at: Moment
    expires_at: Moment = Field(description="When the request ends, and its approvals with it.")
    approvals_needed: int
    approved_by: list[str] = Field(description="The recovery agents who have approved it, by name.")
    fetched_at: Moment | None


class RecoveryListResponse(_Shape):
    """The latest recoveries, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"recoveries": [_RECOVERY_EXAMPLE]}]})

    recoveries: list[RecoveryResponse]
