"""Which secrets are sealed in the database, besides those of enrolments and the pool?"""

from sqlalchemy import Connection, select

from ca.sealing import SecretIdentity, SecretKind
from directory.evidence.keys import audit_key_identity
from directory.ocsp_responders import ocsp_key_identity
from directory.organization import dkim_key_identity, smtp_password_identity, webhook_secret_identity
from directory.store.rows import sealed
from directory.store.tables import audit_keys, issuers, ocsp_responders, organizations, pending_issuers
from directory.verification import InspectedSecret

_CA_KEYS = select(
    issuers.c.id, issuers.c.key_master_key_id, issuers.c.key_wrapped_key, issuers.c.key_ciphertext
).order_by(issuers.c.id)
_PENDING_KEYS = select(
    pending_issuers.c.id,
    pending_issuers.c.key_master_key_id,
    pending_issuers.c.key_wrapped_key,
    pending_issuers.c.key_ciphertext,
).order_by(pending_issuers.c.id)
_AUDIT_KEYS = select(
    audit_keys.c.id, audit_keys.c.key_master_key_id, audit_keys.c.key_wrapped_key, audit_keys.c.key_ciphertext
).order_by(audit_keys.c.number)
_OCSP_KEYS = select(
    ocsp_responders.c.id,
    ocsp_responders.c.key_master_key_id,
    ocsp_responders.c.key_wrapped_key,
    ocsp_responders.c.key_ciphertext,
).order_by(ocsp_responders.c.id)
_IDENTITIES = (smtp_password_identity, dkim_key_identity, webhook_secret_identity)
_SECRETS_OF_ORGANIZATIONS = select(
    organizations.c.id,
    *(
        organizations.c[f"{prefix}_{column}"]
        for prefix in ("smtp_password", "dkim_key", "webhook_secret")
        for column in ("master_key_id", "wrapped_key", "ciphertext")
    ),
).order_by(organizations.c.id)


def every_secret(connection: Connection) -> list[InspectedSecret]:
    """Return the issuers' keys, the audit keys, those of OCSP responders, and what is organizations'."""
    found: list[InspectedSecret] = []
    for record_id, *columns in (*connection.execute(_CA_KEYS), *connection.execute(_PENDING_KEYS)):
        if (secret := sealed(*columns)) is not None:
            identity = SecretIdentity(kind=SecretKind.CA_KEY, record_id=record_id, organization_id=None)
            found.append(InspectedSecret(identity=identity, sealed=secret))
    for record_id, *columns in connection.execute(_AUDIT_KEYS):
        if (secret := sealed(*columns)) is not None:
            found.append(InspectedSecret(identity=audit_key_identity(record_id), sealed=secret))
    for record_id, *columns in connection.execute(_OCSP_KEYS):
        if (secret := sealed(*columns)) is not None:
            found.append(InspectedSecret(identity=ocsp_key_identity(record_id), sealed=secret))
    for row in connection.execute(_SECRETS_OF_ORGANIZATIONS):
        for number, identity_of in enumerate(_IDENTITIES):
            if (secret := sealed(*row[3 * number + 1 : 3 * number + 4])) is not None:
                found.append(InspectedSecret(identity=identity_of(row.id), sealed=secret))
    return found
