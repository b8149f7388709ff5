"""What happened, who did it, and can anybody change that afterwards? Audit events and their hash chain.

Each node keeps one chain: every event carries the hash of the one before it, so an edit, a deletion, an
insertion or a change of order breaks the chain at that place, and the head kept beside it shows a cut tail.
An event is written in the transaction of the action it tells of: no action without its event.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

GENESIS_HASH = bytes(32)
"""What the first event of a chain names as the hash before it."""


class AuditKind(StrEnum):
    """What happened."""

    SERVICE_INITIALIZED = "service.initialized"
    SERVICE_STARTED = "service.started"
    SERVICE_STOPPED = "service.stopped"
    SERVICE_CRASHED = "service.crashed"
    SOFTWARE_CHANGED = "software.changed"
    SETTINGS_CHANGED = "settings.changed"
    PROFILES_CHANGED = "profiles.changed"
    CALLER_AUTHENTICATED = "caller.authenticated"
    AUTHENTICATION_FAILED = "authentication.failed"
    ORGANIZATION_ADDED = "organization.added"
    ORGANIZATION_CHANGED = "organization.changed"
    GATEWAY_ADDED = "gateway.added"
    GATEWAY_DISABLED = "gateway.disabled"
    GATEWAY_CERTIFICATE_SET = "gateway.certificate_set"
    GATEWAY_CERTIFICATE_REMOVED = "gateway.certificate_removed"
    AGENT_ADDED = "agent.added"
    AGENT_DISABLED = "agent.disabled"
    ISSUER_KEY_MADE = "issuer.key_made"
    ISSUER_REQUESTED = "issuer.requested"
    ISSUER_REQUEST_WITHDRAWN = "issuer.request_withdrawn"
    ISSUER_CREATED = "issuer.created"
    ISSUER_IMPORTED = "issuer.imported"
    ISSUER_REVOKED = "issuer.revoked"
    ISSUER_KEY_EXPORTED = "issuer.key_exported"
    ISSUER_KEY_DESTROYED = "issuer.key_destroyed"
    ISSUER_ACTIVATED = "issuer.activated"
    CROSS_CERTIFICATE_ADDED = "cross_certificate.added"
    CROSS_CERTIFICATE_REMOVED = "cross_certificate.removed"
    CROSS_CERTIFICATE_SIGNED = "cross_certificate.signed"
    CRL_PARTITIONED = "crl.partitioned"
    CRL_ISSUED = "crl.issued"
    CRL_IMPORTED = "crl.imported"
    OCSP_RESPONDER_CERTIFIED = "ocsp_responder.certified"
    OCSP_RESPONDER_KEY_DESTROYED = "ocsp_responder.key_destroyed"
    KEY_POOL_FILLED = "key_pool.filled"
    KEY_POOL_USED = "key_pool.used"
    KEY_POOL_DISCARDED = "key_pool.discarded"
    CERTIFICATE_MINTED = "certificate.minted"
    MINT_REFUSED = "mint.refused"
    CERTIFICATE_IMPORTED = "certificate.imported"
    PROXY_CERTIFIED = "proxy.certified"
    REQUEST_REFUSED = "request.refused"
    CERTIFICATE_REVOKED = "certificate.revoked"
    KEY_BLOCKED = "key.blocked"
    KEY_UNBLOCKED = "key.unblocked"
    CERTIFICATE_LEADS = "certificate.leads"
    CERTIFICATE_PROVEN = "certificate.proven"
    KEY_ESCROWED = "key.escrowed"
    RECOVERY_CERTIFICATE_ADDED = "recovery_certificate.added"
    RECOVERY_CERTIFICATE_ACTIVATED = "recovery_certificate.activated"
    RECOVERY_AGENT_ADDED = "recovery_agent.added"
    RECOVERY_AGENT_REMOVED = "recovery_agent.removed"
    RECOVERY_REQUESTED = "recovery.requested"
    RECOVERY_APPROVED = "recovery.approved"
    RECOVERY_FETCHED = "recovery.fetched"
    KEY_MAIL_ACCEPTED = "key_mail.accepted"
    KEY_MAIL_GIVEN_UP = "key_mail.given_up"
    KEY_MAIL_RESENT = "key_mail.resent"
    KEY_MAIL_BOUNCED = "key_mail.bounced"
    KEY_PACKAGE_DOWNLOADED = "key_package.downloaded"
    KEY_DESTROYED = "key.destroyed"
    DELIVERY_UNPROVEN = "delivery.unproven"
    MAIL_TRIED = "mail.tried"
    MAIL_ACCEPTED = "mail.accepted"
    MAIL_GIVEN_UP = "mail.given_up"
    MAIL_BOUNCED = "mail.bounced"
    MAIL_COMPLAINED = "mail.complained"
    MAIL_PAUSED = "mail.paused"
    MAIL_RESUMED = "mail.resumed"
    MAIL_FLUSHED = "mail.flushed"
    REMINDER_QUEUED = "reminder.queued"
    RECIPIENT_OPTED_OUT = "recipient.opted_out"
    SUPPRESSION_ADDED = "suppression.added"
    SUPPRESSION_LIFTED = "suppression.lifted"
    BOUNCE_IGNORED = "bounce.ignored"
    BOUNCE_CLEARED = "bounce.cleared"
    DOMAIN_PAUSED = "domain.paused"
    DOMAIN_RESUMED = "domain.resumed"
    WEBHOOK_GIVEN_UP = "webhook.given_up"
    WEBHOOK_REDELIVERED = "webhook.redelivered"
    PASSWORD_REVEALED = "password.revealed"  # noqa: S105 - the name of an event, not a password
    PASSWORD_RELEASED = "password.released"  # noqa: S105 - likewise
    PASSWORD_EXPIRED = "password.expired"  # noqa: S105 - likewise
    PASSWORD_DESTROYED = "password.destroyed"  # noqa: S105 - likewise
    RELAY_RECORDED = "relay.recorded"
    CLOCK_DOUBTED = "clock.doubted"
    CLOCK_ACCEPTED = "clock.accepted"
    MASTER_KEY_LOADED = "master_key.loaded"
    MASTER_KEY_ROTATED = "master_key.rotated"
    AUDIT_KEY_CREATED = "audit_key.created"
    AUDIT_KEY_ROTATED = "audit_key.rotated"


def partition_detail(crl_partition: int | None) -> dict[str, str]:
    """Say of a certificate which partition of its issuer's CRL it names, for whoever has lost it."""
    return {} if crl_partition is None else {"crl_partition": str(crl_partition)}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One thing that happened; holds identifiers, never a secret."""

    kind: AuditKind
    at: datetime
    actor: str
    """Who did it, such as `gateway:NAME`, `agent:EMAIL`, `operator:LOGIN`, `service`."""
    subject: str
    """What it was done to: an enrolment, certificate or caller, by identifier."""
    organization_id: str | None = None
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedEvent:
    """An event at its place in a node's chain."""

    node: str
    sequence: int
    """Counts from 1 without gaps."""
    event: AuditEvent
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainHead:
    """Where a node's chain ends."""

    node: str
    sequence: int = 0
    hash: bytes = GENESIS_HASH


def chain(head: ChainHead, event: AuditEvent) -> ChainedEvent:
    """Put the event behind the head of a chain."""
    sequence = head.sequence + 1
    return ChainedEvent(
        node=head.node,
        sequence=sequence,
        event=event,
        previous_hash=head.hash,
        hash=_hash(head.node, sequence, head.hash, event),
    )


def content_of(chained: ChainedEvent) -> str:
    """Return the text whose SHA-256 is the event's hash, where nobody touched it."""
    return _content(chained.node, chained.sequence, chained.previous_hash, chained.event)


def _hash(node: str, sequence: int, previous_hash: bytes, event: AuditEvent) -> bytes:
    return hashlib.sha256(_content(node, sequence, previous_hash, event).encode()).digest()


def _content(node: str, sequence: int, previous_hash: bytes, event: AuditEvent) -> str:
    # JSON with sorted keys and no blanks is the canonical form: what stands in the columns, nothing else.
    return json.dumps(
        {
            "node": node,
            "sequence": sequence,
            "previous": previous_hash.hex(),
            "kind": event.kind.value,
            "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "actor": event.actor,
            "subject": event.subject,
            "organization": event.organization_id,
            "detail": dict(event.detail),
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    )
