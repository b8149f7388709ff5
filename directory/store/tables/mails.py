"""What is sent, to whom, and what comes back? Outbox, pauses, bounces, webhooks, protection on the way."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    false,
    text,
)

from directory.store.tables.columns import UtcDateTime, metadata, secret

outgoing_mail = Table(
    "outgoing_mail",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("enrolment_id", String(32), ForeignKey("enrolments.id"), nullable=False, index=True),
    Column("organization_id", String(32), ForeignKey("organizations.id"), nullable=False),
    Column("kind", String(32), nullable=False),  # MailKind
    Column("recipient", String(254), nullable=False),
    Column("recipient_key", String(254), nullable=False, index=True),
    # The person presumably behind the address: one budget for all spellings.
    Column("recipient_base", String(254), nullable=False),
    Column("message_id", String(320), nullable=False, unique=True),
    Column("bounce_token", String(32), nullable=False, unique=True),
    # As it was composed for the first attempt, for all that follow; erased when the mail has ended.
    *secret("message"),
    # Whether it brings a key package by nothing but a link.
    Column("link_only", Boolean, nullable=False, server_default=false()),
    Column("state", String(16), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("give_up_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("claimed_by", String(64)),
    Column("claimed_until", UtcDateTime),
    Column("last_failure", String(500)),
    Column("ended_at", UtcDateTime),
    Index("ix_outgoing_mail_recipient_base_created_at", "recipient_base", "created_at"),
    # An organization's mails in the order they are listed in.
    Index("ix_outgoing_mail_organization_id_created_at_id", "organization_id", "created_at", "id"),
    Index(
        "ix_outgoing_mail_due",
        "due_at",
        sqlite_where=text("state = 'queued'"),
        postgresql_where=text("state = 'queued'"),
    ),
)

# Addresses that no organization may send anything to.
suppressions = Table(
    "suppressions",
    metadata,
    Column("address_key", String(254), primary_key=True),
    Column("address", String(254), nullable=False),
    Column("reason", String(32), nullable=False),  # SuppressionReason
    Column("since", UtcDateTime, nullable=False),
)

# Whose mail waits until somebody lets it go: an organization's, or `*` for everybody's.
mail_pauses = Table(
    "mail_pauses",
    metadata,
    Column("organization_id", String(32), primary_key=True),
    Column("since", UtcDateTime, nullable=False),
    Column("actor", String(320), nullable=False),
)

paused_domains = Table(
    "paused_domains",
    metadata,
    Column("organization_id", String(32), ForeignKey("organizations.id"), primary_key=True),
    Column("domain", String(253), primary_key=True),
    Column("paused_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
)

bounces = Table(
    "bounces",
    metadata,
    Column("mail_id", String(32), ForeignKey("outgoing_mail.id"), primary_key=True),
    Column("organization_id", String(32), ForeignKey("organizations.id"), nullable=False),
    Column("domain", String(253), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("status", String(16), nullable=False),
    Index("ix_bounces_organization_id_domain_at", "organization_id", "domain", "at"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("organization_id", String(32), ForeignKey("organizations.id"), nullable=False, index=True),
    Column("enrolment_id", String(32), ForeignKey("enrolments.id"), nullable=False, index=True),
    Column("event", String(32), nullable=False),  # WebhookEvent
    Column("state", String(16), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("give_up_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("claimed_by", String(64)),
    Column("claimed_until", UtcDateTime),
    Column("last_failure", String(500)),
    Column("ended_at", UtcDateTime),
    Index(
        "ix_webhook_deliveries_due",
        "due_at",
        sqlite_where=text("state = 'queued'"),
        postgresql_where=text("state = 'queued'"),
    ),
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("delivery_id", String(32), ForeignKey("webhook_deliveries.id"), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("status", Integer),
    Column("failure", String(500)),
    Column("milliseconds", Integer, nullable=False),
)

# What RFC 8460 reports of: how sessions to a policy domain went on one day.
tls_reports = Table(
    "tls_reports",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("policy_domain", String(253), primary_key=True),
    Column("policy_type", String(32), primary_key=True),
    Column("result_type", String(32), primary_key=True),
    Column("mx_host", String(253), primary_key=True),
    Column("policy", Text, nullable=False),
    Column("sessions", Integer, nullable=False),
)

# Policies of recipients' domains that were fetched (RFC 8461 section 3.2), for as long as they hold.
mta_sts_policies = Table(
    "mta_sts_policies",
    metadata,
    Column("domain", String(253), primary_key=True),
    Column("policy_id", String(32), nullable=False),
    Column("policy", Text, nullable=False),
    Column("fetched_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)
