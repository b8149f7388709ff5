"""What does a mint cause? The enrolment, its certificate, held key, relay, delivery and links."""

from enum import StrEnum

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from directory.store.tables.columns import UtcDateTime, metadata, secret


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
    # A live enrolment's certificate is served, or will be. It ends if that is revoked, expired or withdrawn.
    Column("live", Boolean, nullable=False),
    Column("ended_because", String(16)),  # EnrolmentEnd
    # The order among those of one address: at most one leads, and at most one waits to.
    Column("place", String(16), nullable=False, server_default=text("'leading'")),  # Place
    Column("renews_enrolment_id", String(32), ForeignKey("enrolments.id")),
    *(
        Index(
            f"uq_enrolments_one_{place}_per_address",
            "scope",
            "address_key",
            unique=True,
            sqlite_where=text(f"live AND place = '{place}'"),
            postgresql_where=text(f"live AND place = '{place}'"),
        )
        for place in ("leading", "waiting")
    ),
    # Few are renewals, and nobody looks for the others by this.
    Index(
        "ix_enrolments_renews_enrolment_id",
        "renews_enrolment_id",
        sqlite_where=text("renews_enrolment_id IS NOT NULL"),
        postgresql_where=text("renews_enrolment_id IS NOT NULL"),
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
    # From when a renewed certificate is served; NULL: since it was published.
    Column("served_from", UtcDateTime),
    # Set when the certificate leaves the directory without being revoked (its key mail bounced).
    Column("withdrawn_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("revocation_reason", String(32)),
    # The partition of its issuer's CRL that it names, for as long as it lives; 0: none, but the complete one.
    Column("crl_partition", Integer, nullable=False, server_default=text("0")),
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
    # What is to be renewed is found by when it ends.
    Index(
        "ix_certificates_minted_ending",
        "not_after",
        "enrolment_id",
        sqlite_where=text("origin = 'minted' AND withdrawn_at IS NULL AND revoked_at IS NULL"),
        postgresql_where=text("origin = 'minted' AND withdrawn_at IS NULL AND revoked_at IS NULL"),
    ),
    # What a CRL lists, in its order, and nothing else.
    Index(
        "ix_certificates_revoked",
        "issuer_id",
        "crl_partition",
        "not_after",
        "serial",
        "revoked_at",
        "revocation_reason",
        sqlite_where=text("revoked_at IS NOT NULL"),
        postgresql_where=text("revoked_at IS NOT NULL"),
    ),
)

held_keys = Table(
    "held_keys",
    metadata,
    Column("enrolment_id", String(32), ForeignKey("enrolments.id"), primary_key=True),
    Column("state", String(16), nullable=False),
    *secret("key"),
    # KeyFate: as the organization wanted when the key was made.
    Column("fate", String(16), nullable=False),
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
    *secret("password"),
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
