"""What is stored? The schema, one for SQLite and PostgreSQL; migrations bring a database to it.

Every secret is three columns: the identifier of the master key, the data key wrapped by it, the ciphertext.
The first refers to `master_keys`, so a retired master key cannot be dropped while a secret still needs it,
nor can a process that has not heard of a rotation seal anything with it afterwards.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    event,
    false,
    text,
)

from directory.store.migrations import triggers_v1

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, always aware and in UTC on the way in and out; SQLite keeps no time zone itself."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive moment; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime is not a moment")
        moment = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return an aware UTC moment."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _secret(prefix: str) -> tuple[Column[Any], Column[Any], Column[Any], CheckConstraint]:
    # To destroy a secret is to set all three to NULL; a secret half there is a mistake.
    names = f"{prefix}_master_key_id", f"{prefix}_wrapped_key", f"{prefix}_ciphertext"
    return (
        Column(names[0], String(32), ForeignKey("master_keys.id")),
        Column(names[1], LargeBinary),
        Column(names[2], LargeBinary),
        CheckConstraint(
            "({0} IS NULL) = ({1} IS NULL) AND ({1} IS NULL) = ({2} IS NULL)".format(*names),
            name=f"{prefix}_whole",
        ),
    )


master_keys = Table(
    "master_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
)

organizations = Table(
    "organizations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("slug", String(64), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("mail_from", String(254), nullable=False),
    # Without a smart host mail goes directly to the recipients' mail exchangers.
    Column("smtp_host", String(253)),
    Column("smtp_port", Integer),
    Column("smtp_security", String(16)),
    Column("smtp_username", String(254)),
    *_secret("smtp_password"),
    Column("isolated", Boolean, nullable=False),
    Column("package_format", String(16), nullable=False),
    Column("password_style", String(16), nullable=False),
    Column("contact", String(500), nullable=False),
    Column("language", String(8), nullable=False),
    Column("sender_name", String(200), nullable=False),
    Column("key_delivery", String(16), nullable=False),
    Column("package_chain", Boolean, nullable=False),
    # A JSON object: recipient domain, format.
    Column("package_formats", Text, nullable=False),
    Column("bounce_address", String(254)),
    Column("dkim_selector", String(63)),
    *_secret("dkim_key"),
    Column("webhook_url", String(2000)),
    *_secret("webhook_secret"),
    Column("password_mail", String(254)),
    Column("password_certificate", LargeBinary),
    Column("notices_to", String(254)),
    Column("relay_days", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
)

organization_domains = Table(
    "organization_domains",
    metadata,
    Column("domain", String(253), primary_key=True),
    Column("organization_id", String(32), ForeignKey("organizations.id"), nullable=False, index=True),
)

gateways = Table(
    "gateways",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("organization_id", String(32), ForeignKey("organizations.id"), nullable=False, index=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("may_mint", Boolean, nullable=False),
    Column("token_id", String(32), nullable=False, unique=True),
    Column("token_digest", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
    Column("certificate_sha256", LargeBinary, unique=True),
)

agents = Table(
    "agents",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("organization_id", String(32), ForeignKey("organizations.id"), nullable=False),
    Column("email", String(254), nullable=False),
    Column("token_id", String(32), nullable=False, unique=True),
    Column("token_digest", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
    UniqueConstraint("organization_id", "email"),
)

issuers = Table(
    "issuers",
    metadata,
    # The subject key identifier of its certificate, in hex: also the name of its files in URLs.
    Column("id", String(64), primary_key=True),
    Column("parent_id", String(64), ForeignKey("issuers.id")),
    Column("purpose", String(32), nullable=False),
    Column("subject", Text, nullable=False),
    Column("der", LargeBinary, nullable=False),
    *_secret("key"),
    Column("active", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)


class EnrolmentEnd(StrEnum):
    """Why an enrolment no longer holds its address."""

    EXPIRED = "expired"
    REVOKED = "revoked"
    BOUNCED = "bounced"
    UNRELAYED = "unrelayed"
    OPTED_OUT = "opted_out"


enrolments = Table(
    "enrolments",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("organization_id", String(32), ForeignKey("organizations.id"), nullable=False, index=True),
    Column("gateway_id", String(32), ForeignKey("gateways.id"), nullable=False),
    Column("scope", String(32), nullable=False),
    Column("address", String(254), nullable=False),
    Column("address_key", String(254), nullable=False),
    Column("minted_at", UtcDateTime, nullable=False),
    # A live enrolment holds the address; it ends when its certificate is revoked, expired or undeliverable.
    Column("live", Boolean, nullable=False),
    Column("ended_because", String(16)),  # EnrolmentEnd
    Index(
        "uq_enrolments_one_live_per_address",
        "scope",
        "address_key",
        unique=True,
        sqlite_where=text("live"),
        postgresql_where=text("live"),
    ),
    Index("ix_enrolments_address_key", "address_key"),
)

certificates = Table(
    "certificates",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("enrolment_id", String(32), ForeignKey("enrolments.id"), unique=True),
    Column("issuer_id", String(64), ForeignKey("issuers.id")),
    # Hex without leading zeros: serial numbers have up to 20 octets (RFC 5280 section 4.1.2.2).
    Column("serial", String(40), nullable=False),
    Column("scope", String(32), nullable=False),
    Column("address", String(254), nullable=False),
    Column("address_key", String(254), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("der", LargeBinary, nullable=False),
    # SHA-256 of its SubjectPublicKeyInfo.
    Column("key_sha256", LargeBinary, nullable=False, index=True),
    Column("not_before", UtcDateTime, nullable=False),
    Column("not_after", UtcDateTime, nullable=False),
    Column("published_at", UtcDateTime, nullable=False),
    # Set when the certificate leaves the directory without being revoked (its key mail bounced).
    Column("withdrawn_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("revocation_reason", String(32)),
    # The serial number first: an operator who revokes by it need not know the issuer.
    UniqueConstraint("serial", "issuer_id"),
    Index("ix_certificates_address_key_scope", "address_key", "scope"),
    # A generator that makes the same key twice certifies it once. Recipients may keep theirs over a renewal.
    Index(
        "uq_certificates_one_minted_per_key",
        "key_sha256",
        unique=True,
        sqlite_where=text("origin = 'minted'"),
        postgresql_where=text("origin = 'minted'"),
    ),
    # What a CRL lists, in its order, and nothing else.
    Index(
        "ix_certificates_revoked",
        "issuer_id",
        "not_after",
        "serial",
        sqlite_where=text("revoked_at IS NOT NULL"),
        postgresql_where=text("revoked_at IS NOT NULL"),
    ),
)

# Keys that are in wrong hands, or may be: no certificate with one of them enters the directory.
blocked_keys = Table(
    "blocked_keys",
    metadata,
    Column("key_sha256", LargeBinary, primary_key=True),
    Column("blocked_at", UtcDateTime, nullable=False),
)

crls = Table(
    "crls",
    metadata,
    Column("issuer_id", String(64), ForeignKey("issuers.id"), primary_key=True),
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("der", LargeBinary, nullable=False),
    Column("this_update", UtcDateTime, nullable=False),
    Column("next_update", UtcDateTime, nullable=False),
    # It lists the certificates that had not expired then, so many.
    Column("covers_from", UtcDateTime, nullable=False),
    Column("entries", Integer, nullable=False),
)

# Who signs OCSP responses for an issuer: one succeeds the other, and only the last can still sign.
ocsp_responders = Table(
    "ocsp_responders",
    metadata,
    # The subject key identifier of its certificate, in hex.
    Column("id", String(64), primary_key=True),
    Column("issuer_id", String(64), ForeignKey("issuers.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("serial", String(40), nullable=False),
    Column("not_after", UtcDateTime, nullable=False),
    *_secret("key"),
    UniqueConstraint("issuer_id", "number"),
)

held_keys = Table(
    "held_keys",
    metadata,
    Column("enrolment_id", String(32), ForeignKey("enrolments.id"), primary_key=True),
    Column("state", String(16), nullable=False),
    *_secret("key"),
    Column("hold_until", UtcDateTime),
    Column("ended_at", UtcDateTime),
    # In the long run nearly all keys are gone; those that are not are looked through for what is due.
    Index(
        "ix_held_keys_held",
        "hold_until",
        "enrolment_id",
        sqlite_where=text("state = 'held'"),
        postgresql_where=text("state = 'held'"),
    ),
)

relays = Table(
    "relays",
    metadata,
    Column("enrolment_id", String(32), ForeignKey("enrolments.id"), primary_key=True),
    Column("state", String(16), nullable=False),
    *_secret("password"),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("revealed_at", UtcDateTime),
    Column("revealed_by", String(32), ForeignKey("agents.id")),
    Column("released_through", String(16)),  # PasswordChannel
    Column("closed_at", UtcDateTime),
    Column("outcome", String(16)),
    Column("note", Text, nullable=False),
    # Nearly all relays are closed; those that are not are counted for the metrics.
    Index(
        "ix_relays_open",
        "enrolment_id",
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
    Index(
        "ix_relays_with_password",
        "enrolment_id",
        sqlite_where=text("password_wrapped_key IS NOT NULL"),
        postgresql_where=text("password_wrapped_key IS NOT NULL"),
    ),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("enrolment_id", String(32), ForeignKey("enrolments.id"), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("package_format", String(16), nullable=False),
    Column("language", String(8), nullable=False),
    Column("accepted_at", UtcDateTime),
    # When the mail that asks for a proof was queued, and the reminder.
    Column("asked_at", UtcDateTime),
    Column("reminded_at", UtcDateTime),
    Column("proven_at", UtcDateTime),
    Column("unproven_at", UtcDateTime),
    Column("bounced_at", UtcDateTime),
    # Half a million may wait, for a month each: what is due is found without a look at all of them.
    *(
        Index(
            f"ix_deliveries_{name}",
            "accepted_at",
            sqlite_where=text(f"state = 'accepted' AND {condition}"),
            postgresql_where=text(f"state = 'accepted' AND {condition}"),
        )
        for name, condition in (
            ("to_ask", "asked_at IS NULL"),
            ("to_remind", "asked_at IS NOT NULL AND reminded_at IS NULL"),
            ("to_give_up", "asked_at IS NOT NULL"),
        )
    ),
)


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
    *_secret("message"),
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

recipient_links = Table(
    "recipient_links",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("purpose", String(16), nullable=False),  # LinkPurpose
    Column("enrolment_id", String(32), ForeignKey("enrolments.id"), nullable=False, index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    Column("downloads", Integer, nullable=False),
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

limit_buckets = Table(
    "limit_buckets",
    metadata,
    Column("bucket", String(320), primary_key=True),
    Column("arrival", UtcDateTime, nullable=False),
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("actor", String(320), nullable=False),
    Column("subject", String(320), nullable=False, index=True),
    # No foreign key: the log outlives what it tells of.
    Column("organization_id", String(32)),
    Column("detail", Text, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

# What signs the heads of the chains: one succeeds the other, and only the last can still sign.
audit_keys = Table(
    "audit_keys",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    # The SHA-256 of the public key, in hex.
    Column("id", String(64), nullable=False, unique=True),
    Column("public_key", LargeBinary, nullable=False),
    *_secret("key"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("own_signature", LargeBinary, nullable=False),
    Column("predecessors_signature", LargeBinary),
)

audit_signed_heads = Table(
    "audit_signed_heads",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    # No foreign key: what cannot be right must still be found, not refused.
    Column("key_id", String(64), primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

# Written by triggers alone: how often something was taken away, and from whom. `store/changes.py` reads it.
directory_state = Table(
    "directory_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("generation", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("generation", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("address_key", String(254)),  # NULL: of everybody
)

for _dialect, _statements in triggers_v1.STATEMENTS.items():
    for _statement in _statements:
        _ddl = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(metadata, "after_create", _ddl.execute_if(dialect=_dialect))
