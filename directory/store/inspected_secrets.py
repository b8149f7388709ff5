"""Which secrets are sealed in the database, besides those of enrolments and the pool?"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, select

from ca.sealing import SecretIdentity, SecretKind
from directory.evidence.keys import audit_key_identity
from directory.ocsp_responders import ocsp_key_identity
from directory.organization import dkim_key_identity, smtp_password_identity, webhook_secret_identity
from directory.store.rows import sealed
from directory.store.tables import audit_keys, issuers, ocsp_responders, organizations, pending_issuers
from directory.verification import InspectedSecret


def _keys_of(table: Table, order: ColumnElement[Any]) -> Select[Any]:
    """Select the sealed keys of a table, each with the identifier of its row."""
    return select(
        table.c.id, table.c.key_master_key_id, table.c.key_wrapped_key, table.c.key_ciphertext
    ).order_by(order)


_CA_KEYS = _keys_of(issuers, issuers.c.id)
_PENDING_KEYS = _keys_of(pending_issuers, pending_issuers.c.id)
_AUDIT_KEYS = _keys_of(audit_keys, audit_keys.c.number)
_OCSP_KEYS = _keys_of(ocsp_responders, ocsp_responders.c.id)
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
