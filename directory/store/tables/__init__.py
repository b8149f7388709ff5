"""What is stored? The schema, one for SQLite and PostgreSQL; migrations bring a database to it."""

from directory.store.tables.authorities import (
    blocked_keys,
    crls,
    issuers,
    ocsp_responders,
    pending_issuers,
)
from directory.store.tables.callers import (
    agents,
    gateways,
    organization_domains,
    organizations,
)
from directory.store.tables.columns import (
    UtcDateTime,
    master_keys,
    metadata,
)
from directory.store.tables.enrolments import (
    EnrolmentEnd,
    certificates,
    deliveries,
    enrolments,
    held_keys,
    recipient_links,
    relays,
)
from directory.store.tables.mails import (
    bounces,
    mail_pauses,
    mta_sts_policies,
    outgoing_mail,
    paused_domains,
    suppressions,
    tls_reports,
    webhook_attempts,
    webhook_deliveries,
)
from directory.store.tables.pool import pooled_keys
from directory.store.tables.records import (
    audit_events,
    audit_heads,
    audit_keys,
    audit_signed_heads,
    changes,
    directory_state,
    limit_buckets,
)
from directory.store.tables.recoveries import (
    escrowed_keys,
    recoveries,
    recovery_agents,
    recovery_approvals,
    recovery_certificates,
)

__all__ = [
    "EnrolmentEnd",
    "UtcDateTime",
    "agents",
    "audit_events",
    "audit_heads",
    "audit_keys",
    "audit_signed_heads",
    "blocked_keys",
    "bounces",
    "certificates",
    "changes",
    "crls",
    "deliveries",
    "directory_state",
    "enrolments",
    "escrowed_keys",
    "gateways",
    "held_keys",
    "issuers",
    "limit_buckets",
    "mail_pauses",
    "master_keys",
    "metadata",
    "mta_sts_policies",
    "ocsp_responders",
    "organization_domains",
    "organizations",
    "outgoing_mail",
    "paused_domains",
    "pending_issuers",
    "pooled_keys",
    "recipient_links",
    "recoveries",
    "recovery_agents",
    "recovery_approvals",
    "recovery_certificates",
    "relays",
    "suppressions",
    "tls_reports",
    "webhook_attempts",
    "webhook_deliveries",
]
