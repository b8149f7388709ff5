"""Who signs OCSP responses, and what was issued? Reads and writes `ocsp_responders`, reads `certificates`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import (
    BindParameter,
    Connection,
    and_,
    bindparam,
    func,
    insert,
    literal,
    null,
    select,
    union_all,
    update,
)

from ca.ocsp import Good, Revoked
from ca.pkcs11 import TokenKey
from ca.profiles import Purpose
from directory.audit import AuditEvent
from directory.ocsp import IssuedCertificate
from directory.ocsp_responders import ResponderStanding, StoredResponder
from directory.sparekeys import GRACE
from directory.store import audit_log, spare_keys
from directory.store.crls import reason_of
from directory.store.database import Database
from directory.store.rows import AnyRow, sealed, sealed_columns, token_columns, token_key
from directory.store.tables import certificates, issuers, ocsp_responders

_others = ocsp_responders.alias("others")
_LATEST_NUMBER = (
    select(func.max(_others.c.number))
    .where(_others.c.issuer_id == issuers.c.id)
    .correlate(issuers)
    .scalar_subquery()
)
_STANDINGS = (
    select(
        issuers.c.id.label("issuer"),
        issuers.c.der.label("issuer_der"),
        issuers.c.key_master_key_id.label("issuer_master_key_id"),
        issuers.c.key_wrapped_key.label("issuer_wrapped_key"),
        issuers.c.key_ciphertext.label("issuer_ciphertext"),
        issuers.c.token.label("issuer_token"),
        issuers.c.token_key.label("issuer_token_key"),
        ocsp_responders,
    )
    .join_from(
        issuers,
        ocsp_responders,
        and_(ocsp_responders.c.issuer_id == issuers.c.id, ocsp_responders.c.number == _LATEST_NUMBER),
        isouter=True,
    )
    .where(issuers.c.purpose == Purpose.ISSUING_CA.value, ~issuers.c.is_foreign)
    .order_by(issuers.c.created_at, issuers.c.id)
)
_THIS_ISSUER = ocsp_responders.c.issuer_id == bindparam("of_issuer")
# Certificates that are being minted refer to the issuer; they do not wait for this lock.
_LOCK = select(issuers.c.id).where(issuers.c.id == bindparam("of_issuer")).with_for_update(key_share=True)
_NUMBER = select(func.coalesce(func.max(ocsp_responders.c.number), 0)).where(_THIS_ISSUER)
_ERASE_FORMER = (
    update(ocsp_responders)
    .where(_THIS_ISSUER)
    .values(
        key_master_key_id=null(),
        key_wrapped_key=null(),
        key_ciphertext=null(),
        token=null(),
        token_key=null(),
    )
)
_FORMER_IN_TOKEN = select(ocsp_responders.c.token, ocsp_responders.c.token_key).where(
    _THIS_ISSUER, ocsp_responders.c.token_key.is_not(None)
)
_SERIALS: BindParameter[str] = bindparam("serials", expanding=True)
_ISSUED = union_all(
    select(
        certificates.c.serial,
        certificates.c.address_key,
        certificates.c.revoked_at,
        certificates.c.revocation_reason,
    ).where(certificates.c.serial.in_(_SERIALS), certificates.c.issuer_id == bindparam("of_issuer")),
    select(ocsp_responders.c.serial, literal(""), null(), null()).where(
        ocsp_responders.c.serial.in_(_SERIALS), _THIS_ISSUER
    ),
)


class SqlOcspReader:
    """Knows what was issued."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def issued(
        self, issuer_id: str, serial_numbers: Collection[int]
    ) -> Mapping[int, IssuedCertificate]:
        """Return those of the certificates that the issuer has issued, by serial number."""
        serials = [f"{serial_number:x}" for serial_number in serial_numbers]
        return await self._database.read(partial(_issued, issuer_id=issuer_id, serials=serials))


class SqlResponders:
    """Keeps the responders; each goes on record in the node's audit chain."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def standings(self) -> Sequence[ResponderStanding]:
        """Return every issuing CA, the oldest first."""
        return await self._database.read(_standings)

    async def announce(self, place: TokenKey, *, unclaimed_from: datetime) -> None:
        """Write down where in a token a key is about to be made: if it stays nobody's, it is destroyed."""
        await self._database.write(partial(spare_keys.put_aside, place=place, destroy_from=unclaimed_from))

    async def succeed(self, responder: StoredResponder, *, event: AuditEvent) -> bool:
        """Keep a responder and erase its predecessor's key, if it follows the latest; tell whether it did.

        A key in a token is not erased here, but written down as spare.
        """
        return await self._database.write(
            partial(_succeed, node=self._node, responder=responder, event=event)
        )


def _issued(connection: Connection, *, issuer_id: str, serials: list[str]) -> dict[int, IssuedCertificate]:
    rows = connection.execute(_ISSUED, {"of_issuer": issuer_id, "serials": serials})
    return {int(row.serial, 16): _record(row) for row in rows}


def _record(row: AnyRow) -> IssuedCertificate:
    reason = reason_of(row.revocation_reason)
    revoked = None if row.revoked_at is None else Revoked(at=row.revoked_at, reason=reason)
    return IssuedCertificate(
        serial_number=int(row.serial, 16), address_key=row.address_key, status=revoked or Good()
    )


def _standings(connection: Connection) -> list[ResponderStanding]:
    return [_standing(row) for row in connection.execute(_STANDINGS)]


def _standing(row: AnyRow) -> ResponderStanding:
    return ResponderStanding(
        issuer_id=row.issuer,
        certificate=row.issuer_der,
        sealed_key=sealed(row.issuer_master_key_id, row.issuer_wrapped_key, row.issuer_ciphertext),
        token_key=(
            None
            if row.issuer_token_key is None
            else TokenKey(token=row.issuer_token, key_id=row.issuer_token_key)
        ),
        latest=None if row.id is None else _responder(row),
    )


def _responder(row: AnyRow) -> StoredResponder:
    return StoredResponder(
        responder_id=row.id,
        issuer_id=row.issuer_id,
        number=row.number,
        certificate=row.der,
        serial_number=int(row.serial, 16),
        not_after=row.not_after,
        sealed_key=sealed(row.key_master_key_id, row.key_wrapped_key, row.key_ciphertext),
        token_key=token_key(row),
    )


def _succeed(connection: Connection, *, node: str, responder: StoredResponder, event: AuditEvent) -> bool:
    of_issuer = {"of_issuer": responder.issuer_id}
    connection.execute(_LOCK, of_issuer).one()
    follows = connection.execute(_NUMBER, of_issuer).scalar_one() == responder.number - 1
    made = responder.token_key
    if not follows or (made is not None and not spare_keys.claim(connection, made, event.at)):
        if made is not None:  # it may have taken so long that it is forgotten, as one that was never made
            spare_keys.put_aside(connection, made, event.at)
        return False
    for row in connection.execute(_FORMER_IN_TOKEN, of_issuer).all():
        former = TokenKey(token=row.token, key_id=row.token_key)
        spare_keys.put_aside(connection, former, event.at + GRACE)
    connection.execute(_ERASE_FORMER, of_issuer)
    connection.execute(
        insert(ocsp_responders),
        {
            "id": responder.responder_id,
            "issuer_id": responder.issuer_id,
            "number": responder.number,
            "der": responder.certificate,
            "serial": f"{responder.serial_number:x}",
            "not_after": responder.not_after,
            **sealed_columns("key", responder.sealed_key),
            **token_columns(responder.token_key),
        },
    )
    audit_log.append(connection, node, event)
    return True
