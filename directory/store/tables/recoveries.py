"""Which keys are escrowed, to which certificate, and who has asked for one and approved it?"""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, text

from directory.store.tables.columns import UtcDateTime, metadata

recovery_certificates = Table(
    "recovery_certificates",
    metadata,
    # SHA-256 of its DER, in hex.
    Column("id", String(64), primary_key=True),
    Column("der", LargeBinary, nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    # New escrows go to it; those to the others stay as they are.
    Column("active", Boolean, nullable=False),
    Index(
        "uq_recovery_certificates_one_active",
        "active",
        unique=True,
        sqlite_where=text("active"),
        postgresql_where=text("active"),
    ),
)

escrowed_keys = Table(
    "escrowed_keys",
    metadata,
    Column("enrolment_id", String(32), ForeignKey("enrolments.id"), primary_key=True),
    Column("recovery_certificate_id", String(64), ForeignKey("recovery_certificates.id"), nullable=False),
    # CMS EnvelopedData (DER): nothing here can open it.
    Column("envelope", LargeBinary, nullable=False),
    Column("escrowed_at", UtcDateTime, nullable=False),
)

recovery_agents = Table(
    "recovery_agents",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("email", String(254), nullable=False),
    # The person presumably behind the address: approvals are counted by people.
    Column("person", String(254), nullable=False),
    Column("certificate_sha256", LargeBinary),
    Column("token_id", String(32), nullable=False, unique=True),
    Column("token_digest", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
    # A name is free again when its holder is gone; what he did is on record by identifier.
    Index(
        "uq_recovery_agents_one_of_a_name",
        "name",
        unique=True,
        sqlite_where=text("disabled_at IS NULL"),
        postgresql_where=text("disabled_at IS NULL"),
    ),
)

recoveries = Table(
    "recoveries",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("enrolment_id", String(32), ForeignKey("enrolments.id"), nullable=False, index=True),
    Column("organization_id", String(32), ForeignKey("organizations.id"), nullable=False, index=True),
    # As in the audit log: `agent:EMAIL` or `operator:LOGIN`.
    Column("requested_by", String(320), nullable=False),
    Column("requester_person", String(254), nullable=False),
    Column("reason", Text, nullable=False),
    Column("approvals_needed", Integer, nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    # Request and approvals end together.
    Column("expires_at", UtcDateTime, nullable=False),
    Column("fetched_at", UtcDateTime),
)

recovery_approvals = Table(
    "recovery_approvals",
    metadata,
    Column("recovery_id", String(32), ForeignKey("recoveries.id"), primary_key=True),
    Column("agent_id", String(32), ForeignKey("recovery_agents.id"), primary_key=True),
    Column("approved_at", UtcDateTime, nullable=False),
)
