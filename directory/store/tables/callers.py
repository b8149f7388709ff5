"""Who sends, and who asks? Organizations with their ways of writing, gateways, registration agents."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from directory.store.tables.columns import UtcDateTime, metadata, secret

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
    *secret("smtp_password"),
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
    *secret("dkim_key"),
    Column("webhook_url", String(2000)),
    *secret("webhook_secret"),
    Column("password_mail", String(254)),
    Column("password_certificate", LargeBinary),
    Column("notices_to", String(254)),
    Column("relay_days", Integer, nullable=False),
    Column("end_of_hold", String(16), nullable=False),  # EndOfHold
    Column("escrow_signing_keys", Boolean, nullable=False),
    Column("renewal", String(16), nullable=False),  # Renewal
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
