"""Which kinds of problem does the HTTP edge know? The catalogue: code, status and words of each.

The words are the same for everybody who meets the problem; `problems` says which of them an error is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from types import MappingProxyType

from ca.address import AddressRefusal
from directory.policy import Refusal


class HttpProblem(StrEnum):
    """The codes that are given here; refusals and addresses bring their own."""

    TOKEN_REQUIRED = "auth.required"  # noqa: S105 - a code, not a password
    TOKEN_INVALID = "auth.invalid_token"  # noqa: S105 - likewise
    CREDENTIALS_MALFORMED = "auth.malformed"
    GATEWAY_REQUIRED = "auth.gateway_required"
    AGENT_REQUIRED = "auth.agent_required"
    RECOVERY_AGENT_REQUIRED = "auth.recovery_agent_required"
    TLS_REQUIRED = "http.tls_required"
    TOKEN_IN_QUERY = "http.token_in_query"  # noqa: S105 - likewise
    HOST_MALFORMED = "http.host_malformed"
    HOST_UNKNOWN = "http.host_unknown"
    BODY_TOO_LARGE = "http.body_too_large"
    BODY_TOO_SLOW = "http.body_too_slow"
    MEDIA_TYPE_UNSUPPORTED = "http.unsupported_media_type"
    JSON_MALFORMED = "http.malformed_json"
    FIELDS_INVALID = "http.invalid_fields"
    QUERY_MALFORMED = "http.malformed_query"
    ATTRIBUTE_MISSING = "http.missing_attribute"
    HASH_MALFORMED = "http.malformed_hash"
    REQUEST_MALFORMED = "http.malformed"
    NO_SUCH_RESOURCE = "http.not_found"
    METHOD_NOT_ALLOWED = "http.method_not_allowed"
    STORE_UNAVAILABLE = "store.unavailable"
    STORE_SCHEMA = "store.schema"
    RECORD_UNKNOWN = "record.unknown"
    RECORD_EXISTS = "record.exists"
    RELAY_ALREADY_REVEALED = "relay.already_revealed"
    RELAY_CLOSED = "relay.closed"
    RELAY_NOT_REVEALED = "relay.not_revealed"
    RELAY_NOTE_TOO_LONG = "relay.note_too_long"
    RELAY_NOTE_NOT_TEXT = "relay.note_not_text"
    RELAY_REFUSED = "relay.refused"
    RESEND_NOT_LIVE = "resend.not_live"
    RESEND_KEY_GONE = "resend.key_gone"
    RESEND_UNDER_WAY = "resend.under_way"
    RESEND_BUDGET_SPENT = "resend.budget_spent"
    RESEND_SUPPRESSED = "resend.suppressed"
    RESEND_REFUSED = "resend.refused"
    RECOVERY_NOT_ESCROWED = "recovery.not_escrowed"
    RECOVERY_REASON_MISSING = "recovery.reason_missing"
    RECOVERY_REASON_UNUSABLE = "recovery.reason_unusable"
    RECOVERY_REQUESTER_IS_AGENT = "recovery.requester_is_agent"
    RECOVERY_TOO_FEW_AGENTS = "recovery.too_few_agents"
    RECOVERY_UNDER_WAY = "recovery.under_way"
    RECOVERY_OWN_REQUEST = "recovery.own_request"
    RECOVERY_ALREADY_APPROVED = "recovery.already_approved"
    RECOVERY_AGENT_REMOVED = "recovery.agent_removed"
    RECOVERY_EXPIRED = "recovery.expired"
    RECOVERY_FETCHED = "recovery.fetched"
    RECOVERY_NOT_REQUESTER = "recovery.not_requester"
    RECOVERY_NOT_APPROVED = "recovery.not_approved"
    RECOVERY_REFUSED = "recovery.refused"
    INTERNAL = "http.internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One kind of problem, the same for everybody who meets it."""

    code: str
    status: HTTPStatus
    title: str
    detail: str

    @property
    def type_uri(self) -> str:
        """Where this kind is described; a reference relative to the service (RFC 9457 section 3.1.1)."""
        return f"/problems/{self.code}"


_ROWS: tuple[tuple[str, HTTPStatus, str, str], ...] = (
    # Why a lookup was not answered with a certificate.
    (
        Refusal.NOT_FOUND,
        HTTPStatus.NOT_FOUND,
        "There is no certificate",
        "The directory has no such certificate, and none was made for this question.",
    ),
    (
        Refusal.OWN_DOMAIN,
        HTTPStatus.NOT_FOUND,
        "The address is the organization's own",
        "Nothing is minted for the asking organization's own domains.",
    ),
    (
        Refusal.INTERNATIONAL_LOCAL_PART,
        HTTPStatus.NOT_FOUND,
        "The local part is not ASCII",
        "Nothing is minted for addresses that take SMTPUTF8, unless the operator allows it (RFC 6531).",
    ),
    (
        Refusal.RESERVED_LOCAL_PART,
        HTTPStatus.NOT_FOUND,
        "Nobody reads this mailbox in person",
        "Nothing is minted for roles, machines and domain-wide names (RFC 2142, RFC 3183 section 4.1).",
    ),
    (
        Refusal.RESERVED_DOMAIN,
        HTTPStatus.NOT_FOUND,
        "No mail reaches this domain",
        "Nothing is minted for reserved domains (RFC 2606, RFC 6761).",
    ),
    (
        Refusal.UNKNOWN_DOMAIN,
        HTTPStatus.NOT_FOUND,
        "The domain is below no known top-level domain",
        "Nothing is minted for it; look for a misspelling.",
    ),
    (
        Refusal.REVOKED,
        HTTPStatus.NOT_FOUND,
        "The address' certificate was revoked",
        "A certificate of this address was revoked for a reason that forbids a successor; ask the operator.",
    ),
    (
        Refusal.BOUNCED,
        HTTPStatus.NOT_FOUND,
        "The key mail did not arrive",
        "An earlier key mail to this address came back; ask the registration agents.",
    ),
    (
        Refusal.SUPPRESSED,
        HTTPStatus.NOT_FOUND,
        "The recipient wants no mail",
        "All mail to this address was stopped, so no key can be sent to it.",
    ),
    (
        Refusal.DOMAIN_PAUSED,
        HTTPStatus.NOT_FOUND,
        "Too many key mails to this domain came back",
        "Nothing is minted for the domain for a day, or until the operator ends the pause.",
    ),
    (
        Refusal.LIMIT_REACHED,
        HTTPStatus.TOO_MANY_REQUESTS,
        "A limit is used up",
        "No more can be minted just now; certificates that exist are still served.",
    ),
    (
        Refusal.NOT_CERTIFIABLE,
        HTTPStatus.NOT_FOUND,
        "The address cannot be certified",
        "A certificate for it would break the rules that clients go by.",
    ),
    (
        Refusal.NO_KEY_READY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "No key is ready",
        "Keys are being made; ask again.",
    ),
    (
        Refusal.NO_ISSUER,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "No issuing CA is active",
        "Nothing is minted until the operator makes one active; certificates that exist are still served.",
    ),
    (
        Refusal.TOO_SLOW,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The certificate is not ready yet",
        "It is still being made; ask again.",
    ),
    (
        Refusal.CLOCK_DOUBTED,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The clock is in doubt",
        "Nothing is signed until the operator has put the clock right; certificates that exist are served.",
    ),
    # Who asks.
    (
        HttpProblem.TOKEN_REQUIRED,
        HTTPStatus.UNAUTHORIZED,
        "A token is required",
        "Send the token as 'Authorization: Bearer TOKEN'.",
    ),
    (
        HttpProblem.TOKEN_INVALID,
        HTTPStatus.UNAUTHORIZED,
        "The token is not valid",
        "It is unknown, has been disabled, or its owner has.",
    ),
    (
        HttpProblem.CREDENTIALS_MALFORMED,
        HTTPStatus.BAD_REQUEST,
        "The credentials are malformed",
        "Send one Authorization header with one bearer token (RFC 6750 section 2.1).",
    ),
    (
        HttpProblem.GATEWAY_REQUIRED,
        HTTPStatus.FORBIDDEN,
        "Only a gateway may do this",
        "The token is a registration agent's.",
    ),
    (
        HttpProblem.AGENT_REQUIRED,
        HTTPStatus.FORBIDDEN,
        "Only a registration agent may do this",
        "The token is a gateway's, and no gateway ever sees a password.",
    ),
    (
        HttpProblem.RECOVERY_AGENT_REQUIRED,
        HTTPStatus.FORBIDDEN,
        "A recovery agent's token is needed",
        "The token is a gateway's or a registration agent's; this is for the people who approve recoveries.",
    ),
    (
        HttpProblem.TLS_REQUIRED,
        HTTPStatus.FORBIDDEN,
        "Credentials need TLS",
        "The token was not looked at. One that was sent in clear may have been read: have it replaced.",
    ),
    (
        HttpProblem.TOKEN_IN_QUERY,
        HTTPStatus.BAD_REQUEST,
        "A token does not belong in a URL",
        "URLs end up in logs. Have the token replaced, and send it in the Authorization header.",
    ),
    # How it was asked.
    (
        HttpProblem.HOST_MALFORMED,
        HTTPStatus.BAD_REQUEST,
        "The Host header is malformed",
        "One host name with an optional port is expected (RFC 9112 section 3.2).",
    ),
    (
        HttpProblem.HOST_UNKNOWN,
        HTTPStatus.MISDIRECTED_REQUEST,
        "This service does not go by that name",
        "The operator lists the names it goes by as http.allowed_hosts.",
    ),
    (
        HttpProblem.BODY_TOO_LARGE,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body is too large",
        "No request of this interface needs so much.",
    ),
    (
        HttpProblem.BODY_TOO_SLOW,
        HTTPStatus.REQUEST_TIMEOUT,
        "The body did not arrive in time",
        "Send the request at one go.",
    ),
    (
        HttpProblem.MEDIA_TYPE_UNSUPPORTED,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The body is not JSON",
        "Send it as application/json.",
    ),
    (
        HttpProblem.JSON_MALFORMED,
        HTTPStatus.BAD_REQUEST,
        "The body is malformed",
        "One JSON value in UTF-8 is expected, without repeated names (RFC 8259 section 4).",
    ),
    (
        HttpProblem.FIELDS_INVALID,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The fields are not as expected",
        "A field is missing, unknown or of the wrong kind.",
    ),
    (
        HttpProblem.QUERY_MALFORMED,
        HTTPStatus.BAD_REQUEST,
        "The query is malformed",
        "A short, form-urlencoded query in UTF-8 is expected (RFC 4387 section 2).",
    ),
    (
        HttpProblem.ATTRIBUTE_MISSING,
        HTTPStatus.BAD_REQUEST,
        "The query asks for nothing",
        "Ask by email, uri, certHash, iHash, iAndSHash, name, sHash or sKIDHash (RFC 4387 section 2.2).",
    ),
    (
        HttpProblem.HASH_MALFORMED,
        HTTPStatus.BAD_REQUEST,
        "The hash is malformed",
        "A SHA-1 hash in base64 is 27 characters without '='; '+' is sent as %2B (RFC 4387 section 2.1).",
    ),
    (
        HttpProblem.REQUEST_MALFORMED,
        HTTPStatus.BAD_REQUEST,
        "The request is malformed",
        "It could not be read.",
    ),
    (
        HttpProblem.NO_SUCH_RESOURCE,
        HTTPStatus.NOT_FOUND,
        "There is nothing here",
        "The interface is described at /docs.",
    ),
    (
        HttpProblem.METHOD_NOT_ALLOWED,
        HTTPStatus.METHOD_NOT_ALLOWED,
        "The method does not apply",
        "The Allow header lists those that do.",
    ),
    # What is recorded.
    (
        HttpProblem.RECORD_UNKNOWN,
        HTTPStatus.NOT_FOUND,
        "There is no such record",
        "It does not exist, or is another organization's.",
    ),
    (HttpProblem.RECORD_EXISTS, HTTPStatus.CONFLICT, "The name is taken", "Choose another one."),
    (
        HttpProblem.RELAY_ALREADY_REVEALED,
        HTTPStatus.CONFLICT,
        "The password was revealed before",
        "A password is shown once; have the key package replaced if it was lost.",
    ),
    (
        HttpProblem.RELAY_CLOSED,
        HTTPStatus.CONFLICT,
        "The relay is closed",
        "What came of it has been recorded.",
    ),
    (
        HttpProblem.RELAY_NOT_REVEALED,
        HTTPStatus.CONFLICT,
        "The password was not revealed yet",
        "A password nobody has seen was not passed on.",
    ),
    (
        HttpProblem.RELAY_NOTE_TOO_LONG,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The note is too long",
        "Say it shorter.",
    ),
    (
        HttpProblem.RELAY_NOTE_NOT_TEXT,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The note is not text",
        "A note has no control characters.",
    ),
    (
        HttpProblem.RELAY_REFUSED,
        HTTPStatus.CONFLICT,
        "The relay does not allow this",
        "Look where it stands.",
    ),
    (
        HttpProblem.RESEND_NOT_LIVE,
        HTTPStatus.CONFLICT,
        "The certificate is no longer served",
        "It was revoked, withdrawn or has expired.",
    ),
    (
        HttpProblem.RESEND_KEY_GONE,
        HTTPStatus.CONFLICT,
        "The key is gone",
        "The service has no copy of the private key any more.",
    ),
    (
        HttpProblem.RESEND_UNDER_WAY,
        HTTPStatus.CONFLICT,
        "A key mail is under way already",
        "Wait until it has been delivered.",
    ),
    (
        HttpProblem.RESEND_BUDGET_SPENT,
        HTTPStatus.CONFLICT,
        "Enough mails were sent",
        "Nobody gets more than three mails about keys in a week, from all organizations together.",
    ),
    (
        HttpProblem.RESEND_SUPPRESSED,
        HTTPStatus.CONFLICT,
        "The recipient wants no mail",
        "He has stopped all mail to his address; only he can have that lifted, by the operator.",
    ),
    (
        HttpProblem.RESEND_REFUSED,
        HTTPStatus.CONFLICT,
        "The key mail is not sent again",
        "It is under way, its budget is spent, or the key is gone.",
    ),
    # Why an escrowed key is not asked for, approved or fetched.
    (
        HttpProblem.RECOVERY_NOT_ESCROWED,
        HTTPStatus.CONFLICT,
        "The key is not in escrow",
        "It is held still, was destroyed, or is of an organization that escrows none.",
    ),
    (
        HttpProblem.RECOVERY_REASON_MISSING,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "A reason is needed",
        "The recovery agents read it, and it stays on record.",
    ),
    (
        HttpProblem.RECOVERY_REASON_UNUSABLE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The reason cannot be used",
        "It has at most 500 visible characters, on one line.",
    ),
    (
        HttpProblem.RECOVERY_REQUESTER_IS_AGENT,
        HTTPStatus.CONFLICT,
        "Recovery agents do not fetch keys",
        "Whoever holds a share of the recovery key neither asks for keys nor fetches them.",
    ),
    (
        HttpProblem.RECOVERY_TOO_FEW_AGENTS,
        HTTPStatus.CONFLICT,
        "There are too few recovery agents",
        "Fewer people could approve it than have to.",
    ),
    (
        HttpProblem.RECOVERY_UNDER_WAY,
        HTTPStatus.CONFLICT,
        "It has been asked for already",
        "The former request is to be approved, or expires.",
    ),
    (
        HttpProblem.RECOVERY_OWN_REQUEST,
        HTTPStatus.CONFLICT,
        "Nobody approves what he has asked for",
        "Another recovery agent has to.",
    ),
    (
        HttpProblem.RECOVERY_ALREADY_APPROVED,
        HTTPStatus.CONFLICT,
        "This person has approved it already",
        "Two accounts of one person count once.",
    ),
    (
        HttpProblem.RECOVERY_AGENT_REMOVED,
        HTTPStatus.CONFLICT,
        "He is no recovery agent any more",
        "His approvals count no more.",
    ),
    (
        HttpProblem.RECOVERY_EXPIRED,
        HTTPStatus.CONFLICT,
        "The request has expired",
        "Requests and their approvals end together, a day at most after the request; ask again.",
    ),
    (
        HttpProblem.RECOVERY_FETCHED,
        HTTPStatus.CONFLICT,
        "The key was fetched already",
        "It is released once; ask again.",
    ),
    (
        HttpProblem.RECOVERY_NOT_REQUESTER,
        HTTPStatus.CONFLICT,
        "Somebody else has asked for the key",
        "Only who has asked for a key fetches it.",
    ),
    (
        HttpProblem.RECOVERY_NOT_APPROVED,
        HTTPStatus.CONFLICT,
        "Too few people have approved it",
        "So many recovery agents as the request says have to.",
    ),
    (
        HttpProblem.RECOVERY_REFUSED,
        HTTPStatus.CONFLICT,
        "The recovery does not go on like this",
        "It is over, not approved, or not to be approved by this person.",
    ),
    # What is wrong on our side.
    (
        Refusal.SIGNER_UNAVAILABLE,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The key that signs is not at hand",
        "Nothing can be certified just now; nothing was stored. What there is already is served. Ask again.",
    ),
    (
        HttpProblem.STORE_UNAVAILABLE,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database does not answer",
        "Nothing was changed; ask again.",
    ),
    (
        HttpProblem.STORE_SCHEMA,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database does not fit this version",
        "The operator has to bring it up to date.",
    ),
    (
        HttpProblem.INTERNAL,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something went wrong here",
        "The log of the service says more.",
    ),
)

_ADDRESS_ROWS = tuple(
    (
        refusal,
        HTTPStatus.BAD_REQUEST,
        "Not one acceptable address",
        "Addresses are read strictly; each answer says which rule was broken.",
    )
    for refusal in AddressRefusal
)

PROBLEMS: Mapping[str, Problem] = MappingProxyType(
    {
        str(code): Problem(code=str(code), status=status, title=title, detail=detail)
        for code, status, title, detail in _ROWS + _ADDRESS_ROWS
    }
)
"""Every problem this front end answers with, by its code."""
