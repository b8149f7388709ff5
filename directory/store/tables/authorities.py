"""Who certifies, and what is published of it? Issuers, CRLs, OCSP responders, blocked keys."""

from sqlalchemy import (
    BigInteger,
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

from directory.store.tables.columns import UtcDateTime, in_token, metadata, secret

issuers = Table(
    "issuers",
    metadata,
    # The subject key identifier of its certificate, in hex: also the name of its files in URLs.
    Column("id", String(64), primary_key=True),
    Column("parent_id", String(64), ForeignKey("issuers.id")),
    Column("purpose", String(32), nullable=False),
    Column("subject", Text, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("serial", String(40), nullable=False),
    Column("not_before", UtcDateTime, nullable=False),
    Column("not_after", UtcDateTime, nullable=False),
    *secret("key"),
    *in_token(),
    # Somebody else's, who tells himself what it has revoked.
    Column("is_foreign", Boolean, nullable=False),
    # Whom alone it serves; without one, everybody who has no issuer of his own.
    Column("organization_id", String(32), ForeignKey("organizations.id")),
    # When it begins to certify recipients, until another one does.
    Column("active_from", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("revocation_reason", String(32)),
)

# Keys that wait for the certificate which makes them an issuing CA's.
pending_issuers = Table(
    "pending_issuers",
    metadata,
    # The subject key identifier that its certificate is expected to have, in hex.
    Column("id", String(64), primary_key=True),
    Column("subject", Text, nullable=False),
    Column("request", LargeBinary, nullable=False),
    *secret("key"),
    *in_token(),
    Column("organization_id", String(32), ForeignKey("organizations.id")),
    Column("created_at", UtcDateTime, nullable=False),
)

# Further certificates of our issuers' keys, by which other CAs vouch for them.
cross_certificates = Table(
    "cross_certificates",
    metadata,
    # SHA-256 of the DER, in hex.
    Column("id", String(64), primary_key=True),
    Column("issuer_id", String(64), ForeignKey("issuers.id"), nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("not_after", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# Keys that are in wrong hands, or may be: no certificate with one of them enters the directory.
blocked_keys = Table(
    "blocked_keys",
    metadata,
    Column("key_sha256", LargeBinary, primary_key=True),
    Column("blocked_at", UtcDateTime, nullable=False),
)

# What an issuer's CRLs are about: partition 0 is everything, which the complete CRL lists; the others are
# what names their URL. Triggers count the changes, and add a row where there is none.
crl_scopes = Table(
    "crl_scopes",
    metadata,
    Column("issuer_id", String(64), ForeignKey("issuers.id"), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("distribution_point", Text),
    Column("changes", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
)

crls = Table(
    "crls",
    metadata,
    Column("issuer_id", String(64), ForeignKey("issuers.id"), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("this_update", UtcDateTime, nullable=False),
    Column("next_update", UtcDateTime, nullable=False),
    # It lists the certificates that had not expired then, so many.
    Column("covers_from", UtcDateTime, nullable=False),
    Column("entries", Integer, nullable=False),
    # It was made when the changes of its scope had come to this.
    Column("changes", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
    # Its DER is kept in pieces, so many octets together.
    Column("der_id", String(32), nullable=False, unique=True),
    Column("size", Integer, nullable=False),
)

# A CRL may have fifty megabytes; no statement reads or writes more than one of them. No foreign key: the
# pieces are there before the CRL that they are of, and go after it.
crl_pieces = Table(
    "crl_pieces",
    metadata,
    Column("der_id", String(32), primary_key=True),
    Column("piece", Integer, primary_key=True, autoincrement=False),
    Column("written_at", UtcDateTime, nullable=False),
    Column("octets", LargeBinary, nullable=False),
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
    *secret("key"),
    *in_token(),
    UniqueConstraint("issuer_id", "number"),
)

# Keys in a token that nobody signs with: each is marked, destroyed there, then forgotten. A responder's is
# written down before it is made, so that none is left of a process that ends meanwhile.
spare_token_keys = Table(
    "spare_token_keys",
    metadata,
    Column("token", String(32), primary_key=True),
    Column("token_key", String(128), primary_key=True),
    # The withdrawn request for an issuing CA that it was made for; null for a responder's.
    Column("issuer_id", String(64)),
    Column("destroy_from", UtcDateTime, nullable=False),
    # The mark: null until its destruction begins, then whether the token had it. It is never claimed then.
    Column("was_found", Boolean),
)
