"""The first schema.

A revision says what was true when it was written, so it repeats the tables rather than import them.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, UniqueConstraint

from directory.store.migrations import triggers_v1

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_Columns = tuple[Column[Any] | CheckConstraint, ...]
_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make every table."""
    op.create_table("master_keys", _key("id"), _moment("created_at"))
    _create_organizations()
    _create_callers()
    _create_issuers()
    _create_enrolments()
    _create_certificates()
    _create_ocsp_responders()
    _create_pooled_keys()
    _create_secrets_of_enrolments()
    _create_deliveries()
    _create_recoveries()
    _create_what_follows_deliveries()
    _create_webhook_deliveries()
    _create_transport_security()
    op.create_table("limit_buckets", _key("bucket", 320), _moment("arrival"))
    _create_audit()
    _create_changes()


def _create_organizations() -> None:
    op.create_table(
        "organizations",
        _key("id"),
        _text("slug", 64, unique=True),
        _text("name", 200),
        _text("mail_from", 254),
        _text("smtp_host", 253, nullable=True),
        Column("smtp_port", sa.Integer),
        _text("smtp_security", 16, nullable=True),
        _text("smtp_username", 254, nullable=True),
        *_secret("smtp_password"),
        Column("isolated", sa.Boolean, nullable=False),
        _text("package_format", 16),
        _text("password_style", 16),
        _text("contact", 500),
        _text("language", 8),
        _text("sender_name", 200),
        _text("key_delivery", 16),
        Column("package_chain", sa.Boolean, nullable=False),
        Column("package_formats", sa.Text, nullable=False),
        _text("bounce_address", 254, nullable=True),
        _text("dkim_selector", 63, nullable=True),
        *_secret("dkim_key"),
        _text("webhook_url", 2000, nullable=True),
        *_secret("webhook_secret"),
        _text("password_mail", 254, nullable=True),
        Column("password_certificate", sa.LargeBinary),
        _text("notices_to", 254, nullable=True),
        Column("relay_days", sa.Integer, nullable=False),
        _text("end_of_hold", 16),
        Column("escrow_signing_keys", sa.Boolean, nullable=False),
        _text("renewal", 16),
        _moment("created_at"),
        _moment("disabled_at", nullable=True),
    )
    op.create_table(
        "organization_domains",
        _key("domain", 253),
        _reference("organizations", "organization_id", index=True),
    )


def _create_callers() -> None:
    op.create_table(
        "gateways",
        _key("id"),
        _reference("organizations", "organization_id", index=True),
        _text("name", 64, unique=True),
        Column("may_mint", sa.Boolean, nullable=False),
        *_token(),
        Column("certificate_sha256", sa.LargeBinary, unique=True),
    )
    op.create_table(
        "agents",
        _key("id"),
        _reference("organizations", "organization_id"),
        _text("email", 254),
        *_token(),
        UniqueConstraint("organization_id", "email"),
    )


def _create_issuers() -> None:
    op.create_table(
        "issuers",
        _key("id", 64),
        Column("parent_id", sa.String(64), ForeignKey("issuers.id")),
        _text("purpose", 32),
        Column("subject", sa.Text, nullable=False),
        Column("der", sa.LargeBinary, nullable=False),
        _text("serial", 40),
        _moment("not_before"),
        _moment("not_after"),
        *_secret("key"),
        *_in_token(),
        Column("is_foreign", sa.Boolean, nullable=False),
        Column("organization_id", sa.String(32), ForeignKey("organizations.id")),
        _moment("active_from", nullable=True),
        _moment("created_at"),
        _moment("revoked_at", nullable=True),
        _text("revocation_reason", 32, nullable=True),
    )
    op.create_table(
        "pending_issuers",
        _key("id", 64),
        Column("subject", sa.Text, nullable=False),
        Column("request", sa.LargeBinary, nullable=False),
        *_secret("key"),
        *_in_token(),
        Column("organization_id", sa.String(32), ForeignKey("organizations.id")),
        _moment("created_at"),
    )
    op.create_table(
        "cross_certificates",
        _key("id", 64),
        Column("issuer_id", sa.String(64), ForeignKey("issuers.id"), nullable=False),
        Column("der", sa.LargeBinary, nullable=False),
        _moment("not_after"),
        _moment("created_at"),
    )


def _create_enrolments() -> None:
    op.create_table(
        "enrolments",
        _key("id"),
        _reference("organizations", "organization_id", index=True),
        _reference("gateways", "gateway_id"),
        _text("scope", 32),
        _text("address", 254),
        _text("address_key", 254, index=True),
        _moment("minted_at"),
        Column("live", sa.Boolean, nullable=False),
        _text("ended_because", 16, nullable=True),
        Column("place", sa.String(16), nullable=False, server_default=sa.text("'leading'")),
        Column("renews_enrolment_id", sa.String(32), ForeignKey("enrolments.id")),
        *(
            Index(
                f"uq_enrolments_one_{place}_per_address",
                "scope",
                "address_key",
                unique=True,
                sqlite_where=sa.text(f"live AND place = '{place}'"),
                postgresql_where=sa.text(f"live AND place = '{place}'"),
            )
            for place in ("leading", "waiting")
        ),
        Index(
            "ix_enrolments_renews_enrolment_id",
            "renews_enrolment_id",
            sqlite_where=sa.text("renews_enrolment_id IS NOT NULL"),
            postgresql_where=sa.text("renews_enrolment_id IS NOT NULL"),
        ),
    )


def _create_certificates() -> None:
    op.create_table(
        "certificates",
        _key("id"),
        Column("enrolment_id", sa.String(32), ForeignKey("enrolments.id"), unique=True),
        Column("issuer_id", sa.String(64), ForeignKey("issuers.id")),
        _text("serial", 40),
        _text("scope", 32),
        _text("address", 254),
        _text("address_key", 254),
        _text("origin", 16),
        Column("der", sa.LargeBinary, nullable=False),
        Column("key_sha256", sa.LargeBinary, nullable=False, index=True),
        _moment("not_before"),
        _moment("not_after"),
        _moment("published_at"),
        _moment("served_from", nullable=True),
        _moment("withdrawn_at", nullable=True),
        _moment("revoked_at", nullable=True),
        _text("revocation_reason", 32, nullable=True),
        Column("crl_partition", sa.Integer, nullable=False, server_default=sa.text("0")),
        UniqueConstraint("serial", "issuer_id"),
        Index("ix_certificates_address_key_scope", "address_key", "scope"),
        Index(
            "uq_certificates_one_minted_per_key",
            "key_sha256",
            unique=True,
            sqlite_where=sa.text("origin = 'minted'"),
            postgresql_where=sa.text("origin = 'minted'"),
        ),
        Index(
            "ix_certificates_minted_ending",
            "not_after",
            "enrolment_id",
            sqlite_where=sa.text("origin = 'minted' AND withdrawn_at IS NULL AND revoked_at IS NULL"),
            postgresql_where=sa.text("origin = 'minted' AND withdrawn_at IS NULL AND revoked_at IS NULL"),
        ),
        Index(
            "ix_certificates_revoked",
            "issuer_id",
            "crl_partition",
            "not_after",
            "serial",
            "revoked_at",
            "revocation_reason",
            sqlite_where=sa.text("revoked_at IS NOT NULL"),
            postgresql_where=sa.text("revoked_at IS NOT NULL"),
        ),
    )
    op.create_table(
        "blocked_keys", Column("key_sha256", sa.LargeBinary, primary_key=True), _moment("blocked_at")
    )
    op.create_table(
        "crl_scopes",
        Column("issuer_id", sa.String(64), ForeignKey("issuers.id"), primary_key=True),
        Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        Column("distribution_point", sa.Text),
        Column("changes", _BIG, nullable=False),
    )
    op.create_table(
        "crls",
        Column("issuer_id", sa.String(64), ForeignKey("issuers.id"), primary_key=True),
        Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        Column("number", _BIG, primary_key=True, autoincrement=False),
        _moment("this_update"),
        _moment("next_update"),
        _moment("covers_from"),
        Column("entries", sa.Integer, nullable=False),
        Column("changes", _BIG, nullable=False),
        Column("der_id", sa.String(32), nullable=False, unique=True),
        Column("size", sa.Integer, nullable=False),
    )
    op.create_table(
        "crl_pieces",
        _key("der_id"),
        Column("piece", sa.Integer, primary_key=True, autoincrement=False),
        _moment("written_at"),
        Column("octets", sa.LargeBinary, nullable=False),
    )


def _create_pooled_keys() -> None:
    op.create_table(
        "pooled_keys",
        _key("id"),
        _text("algorithm", 16),
        *_secret("key"),
        Column("key_sha256", sa.LargeBinary, nullable=False, unique=True),
        _moment("made_at"),
        Index("ix_pooled_keys_made_at", "made_at"),
        Index("ix_pooled_keys_algorithm_id", "algorithm", "id"),
    )


def _create_ocsp_responders() -> None:
    op.create_table(
        "ocsp_responders",
        _key("id", 64),
        Column("issuer_id", sa.String(64), ForeignKey("issuers.id"), nullable=False),
        Column("number", sa.Integer, nullable=False),
        Column("der", sa.LargeBinary, nullable=False),
        _text("serial", 40),
        _moment("not_after"),
        *_secret("key"),
        *_in_token(),
        UniqueConstraint("issuer_id", "number"),
    )
    op.create_table(
        "spare_token_keys",
        _key("token"),
        _key("token_key", 128),
        Column("issuer_id", sa.String(64)),
        _moment("destroy_from"),
        Column("was_found", sa.Boolean),
    )


def _create_secrets_of_enrolments() -> None:
    op.create_table(
        "held_keys",
        Column("enrolment_id", sa.String(32), ForeignKey("enrolments.id"), primary_key=True),
        _text("state", 16),
        *_secret("key"),
        _text("fate", 16),
        _moment("hold_until", nullable=True),
        _moment("ended_at", nullable=True),
        Index(
            "ix_held_keys_held",
            "hold_until",
            "enrolment_id",
            sqlite_where=sa.text("state = 'held'"),
            postgresql_where=sa.text("state = 'held'"),
        ),
    )
    op.create_table(
        "relays",
        Column("enrolment_id", sa.String(32), ForeignKey("enrolments.id"), primary_key=True),
        _text("state", 16),
        *_secret("password"),
        _moment("expires_at"),
        _moment("revealed_at", nullable=True),
        Column("revealed_by", sa.String(32), ForeignKey("agents.id")),
        _text("released_through", 16, nullable=True),
        _moment("closed_at", nullable=True),
        _text("outcome", 16, nullable=True),
        Column("note", sa.Text, nullable=False),
        Index(
            "ix_relays_open",
            "enrolment_id",
            sqlite_where=sa.text("closed_at IS NULL"),
            postgresql_where=sa.text("closed_at IS NULL"),
        ),
        Index(
            "ix_relays_with_password",
            "enrolment_id",
            sqlite_where=sa.text("password_wrapped_key IS NOT NULL"),
            postgresql_where=sa.text("password_wrapped_key IS NOT NULL"),
        ),
    )


def _create_recoveries() -> None:
    op.create_table(
        "recovery_certificates",
        _key("id", 64),
        Column("der", sa.LargeBinary, nullable=False),
        _moment("added_at"),
        Column("active", sa.Boolean, nullable=False),
        Index(
            "uq_recovery_certificates_one_active",
            "active",
            unique=True,
            sqlite_where=sa.text("active"),
            postgresql_where=sa.text("active"),
        ),
    )
    op.create_table(
        "escrowed_keys",
        Column("enrolment_id", sa.String(32), ForeignKey("enrolments.id"), primary_key=True),
        Column(
            "recovery_certificate_id", sa.String(64), ForeignKey("recovery_certificates.id"), nullable=False
        ),
        Column("envelope", sa.LargeBinary, nullable=False),
        _moment("escrowed_at"),
    )
    op.create_table(
        "recovery_agents",
        _key("id"),
        _text("name", 64),
        _text("email", 254),
        _text("person", 254),
        Column("certificate_sha256", sa.LargeBinary),
        *_token(),
        Index(
            "uq_recovery_agents_one_of_a_name",
            "name",
            unique=True,
            sqlite_where=sa.text("disabled_at IS NULL"),
            postgresql_where=sa.text("disabled_at IS NULL"),
        ),
    )
    op.create_table(
        "recoveries",
        _key("id"),
        _reference("enrolments", "enrolment_id", index=True),
        _reference("organizations", "organization_id", index=True),
        _text("requested_by", 320),
        _text("requester_person", 254),
        Column("reason", sa.Text, nullable=False),
        Column("approvals_needed", sa.Integer, nullable=False),
        _moment("requested_at"),
        _moment("expires_at"),
        _moment("fetched_at", nullable=True),
    )
    op.create_table(
        "recovery_approvals",
        Column("recovery_id", sa.String(32), ForeignKey("recoveries.id"), primary_key=True),
        Column("agent_id", sa.String(32), ForeignKey("recovery_agents.id"), primary_key=True),
        _moment("approved_at"),
    )


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        Column("enrolment_id", sa.String(32), ForeignKey("enrolments.id"), primary_key=True),
        _text("state", 16),
        _text("package_format", 16),
        _text("language", 8),
        _moment("accepted_at", nullable=True),
        _moment("asked_at", nullable=True),
        _moment("reminded_at", nullable=True),
        _moment("proven_at", nullable=True),
        _moment("unproven_at", nullable=True),
        _moment("bounced_at", nullable=True),
        *(
            Index(
                f"ix_deliveries_{name}",
                "accepted_at",
                sqlite_where=sa.text(f"state = 'accepted' AND {condition}"),
                postgresql_where=sa.text(f"state = 'accepted' AND {condition}"),
            )
            for name, condition in (
                ("to_ask", "asked_at IS NULL"),
                ("to_remind", "asked_at IS NOT NULL AND reminded_at IS NULL"),
                ("to_give_up", "asked_at IS NOT NULL"),
            )
        ),
    )
    op.create_table(
        "outgoing_mail",
        _key("id"),
        _reference("enrolments", "enrolment_id", index=True),
        _reference("organizations", "organization_id"),
        _text("kind", 32),
        _text("recipient", 254),
        _text("recipient_key", 254, index=True),
        _text("recipient_base", 254),
        _text("message_id", 320, unique=True),
        _text("bounce_token", 32, unique=True),
        *_secret("message"),
        Column("link_only", sa.Boolean, nullable=False, server_default=sa.false()),
        _text("state", 16),
        _moment("created_at"),
        _moment("due_at"),
        _moment("give_up_at"),
        Column("attempts", sa.Integer, nullable=False),
        _text("claimed_by", 64, nullable=True),
        _moment("claimed_until", nullable=True),
        _text("last_failure", 500, nullable=True),
        _moment("ended_at", nullable=True),
        Index("ix_outgoing_mail_recipient_base_created_at", "recipient_base", "created_at"),
        Index("ix_outgoing_mail_organization_id_created_at_id", "organization_id", "created_at", "id"),
        Index(
            "ix_outgoing_mail_due",
            "due_at",
            sqlite_where=sa.text("state = 'queued'"),
            postgresql_where=sa.text("state = 'queued'"),
        ),
    )


def _create_what_follows_deliveries() -> None:
    op.create_table(
        "recipient_links",
        _key("id"),
        Column("digest", sa.LargeBinary, nullable=False),
        _text("purpose", 16),
        _reference("enrolments", "enrolment_id", index=True),
        _moment("created_at"),
        _moment("expires_at"),
        _moment("used_at", nullable=True),
        Column("downloads", sa.Integer, nullable=False),
    )
    op.create_table(
        "suppressions", _key("address_key", 254), _text("address", 254), _text("reason", 32), _moment("since")
    )
    op.create_table("mail_pauses", _key("organization_id"), _moment("since"), _text("actor", 320))
    op.create_table(
        "paused_domains",
        Column("organization_id", sa.String(32), ForeignKey("organizations.id"), primary_key=True),
        _key("domain", 253),
        _moment("paused_at"),
        _moment("until"),
    )
    op.create_table(
        "bounces",
        Column("mail_id", sa.String(32), ForeignKey("outgoing_mail.id"), primary_key=True),
        _reference("organizations", "organization_id"),
        _text("domain", 253),
        _moment("at"),
        _text("status", 16),
        Index("ix_bounces_organization_id_domain_at", "organization_id", "domain", "at"),
    )


def _create_webhook_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        _key("id"),
        _reference("organizations", "organization_id", index=True),
        _reference("enrolments", "enrolment_id", index=True),
        _text("event", 32),
        _text("state", 16),
        _moment("created_at"),
        _moment("due_at"),
        _moment("give_up_at"),
        Column("attempts", sa.Integer, nullable=False),
        _text("claimed_by", 64, nullable=True),
        _moment("claimed_until", nullable=True),
        _text("last_failure", 500, nullable=True),
        _moment("ended_at", nullable=True),
        Index(
            "ix_webhook_deliveries_due",
            "due_at",
            sqlite_where=sa.text("state = 'queued'"),
            postgresql_where=sa.text("state = 'queued'"),
        ),
    )
    op.create_table(
        "webhook_attempts",
        Column("delivery_id", sa.String(32), ForeignKey("webhook_deliveries.id"), primary_key=True),
        Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        _moment("at"),
        Column("status", sa.Integer),
        _text("failure", 500, nullable=True),
        Column("milliseconds", sa.Integer, nullable=False),
    )


def _create_transport_security() -> None:
    op.create_table(
        "tls_reports",
        _key("day", 10),
        _key("policy_domain", 253),
        _key("policy_type", 32),
        _key("result_type", 32),
        _key("mx_host", 253),
        Column("policy", sa.Text, nullable=False),
        Column("sessions", sa.Integer, nullable=False),
    )
    op.create_table(
        "mta_sts_policies",
        _key("domain", 253),
        _text("policy_id", 32),
        Column("policy", sa.Text, nullable=False),
        _moment("fetched_at"),
        _moment("expires_at"),
    )


def _create_audit() -> None:
    op.create_table(
        "audit_events",
        _key("node", 64),
        Column("sequence", _BIG, primary_key=True, autoincrement=False),
        _moment("at"),
        _text("kind", 64),
        _text("actor", 320),
        _text("subject", 320, index=True),
        _text("organization_id", 32, nullable=True),
        Column("detail", sa.Text, nullable=False),
        Column("previous_hash", sa.LargeBinary, nullable=False),
        Column("hash", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_heads",
        _key("node", 64),
        Column("sequence", _BIG, nullable=False),
        Column("hash", sa.LargeBinary, nullable=False),
        _moment("latest_at", nullable=True),
    )
    op.create_table(
        "audit_keys",
        Column("number", sa.Integer, primary_key=True, autoincrement=False),
        _text("id", 64, unique=True),
        Column("public_key", sa.LargeBinary, nullable=False),
        *_secret("key"),
        _moment("created_at"),
        Column("own_signature", sa.LargeBinary, nullable=False),
        Column("predecessors_signature", sa.LargeBinary),
    )
    op.create_table(
        "audit_signed_heads",
        _key("node", 64),
        Column("sequence", _BIG, primary_key=True, autoincrement=False),
        _key("key_id", 64),
        Column("hash", sa.LargeBinary, nullable=False),
        _moment("at"),
        Column("signature", sa.LargeBinary, nullable=False),
    )


def _create_changes() -> None:
    op.create_table(
        "directory_state",
        Column("id", sa.Integer, primary_key=True, autoincrement=False),
        Column("generation", _BIG, nullable=False),
    )
    op.create_table(
        "changes",
        Column("generation", _BIG, primary_key=True, autoincrement=False),
        _text("address_key", 254, nullable=True),
    )
    for statement in triggers_v1.STATEMENTS[op.get_context().dialect.name]:
        op.execute(statement)


def _key(name: str, length: int = 32) -> Column[Any]:
    return Column(name, sa.String(length), primary_key=True)


def _text(
    name: str, length: int, *, nullable: bool = False, unique: bool | None = None, index: bool | None = None
) -> Column[Any]:
    return Column(name, sa.String(length), nullable=nullable, unique=unique, index=index)


def _moment(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _reference(table: str, name: str, *, index: bool | None = None) -> Column[Any]:
    return Column(name, sa.String(32), ForeignKey(f"{table}.id"), nullable=False, index=index)


def _token() -> _Columns:
    return (
        _text("token_id", 32, unique=True),
        Column("token_digest", sa.LargeBinary, nullable=False),
        _moment("created_at"),
        _moment("disabled_at", nullable=True),
    )


def _in_token() -> _Columns:
    return (_text("token", 32, nullable=True), _text("token_key", 128, nullable=True))


def _secret(prefix: str) -> _Columns:
    names = f"{prefix}_master_key_id", f"{prefix}_wrapped_key", f"{prefix}_ciphertext"
    return (
        Column(names[0], sa.String(32), ForeignKey("master_keys.id")),
        Column(names[1], sa.LargeBinary),
        Column(names[2], sa.LargeBinary),
        CheckConstraint(
            "({0} IS NULL) = ({1} IS NULL) AND ({1} IS NULL) = ({2} IS NULL)".format(*names),
            name=f"{prefix}_whole",
        ),
    )
