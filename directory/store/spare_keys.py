"""Which keys in a token does nobody sign with? Reads and writes `spare_token_keys`."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, bindparam, delete, exists, null, select, update

from ca.pkcs11 import TokenKey
from directory.sparekeys import EventIf, SpareKey
from directory.store import audit_log
from directory.store.database import Database
from directory.store.rows import AnyRow, token_columns
from directory.store.statements import Upsert
from directory.store.tables import issuers, ocsp_responders, pending_issuers, spare_token_keys
from directory.store.tables.columns import UtcDateTime

_ADD = Upsert(spare_token_keys, lambda insert: insert.on_conflict_do_nothing())
_THIS = (
    spare_token_keys.c.token == bindparam("of_token"),
    spare_token_keys.c.token_key == bindparam("of_key"),
)
_UNMARKED = spare_token_keys.c.was_found.is_(None)
_CLAIM = delete(spare_token_keys).where(
    *_THIS, _UNMARKED, spare_token_keys.c.destroy_from > bindparam("now", type_=UtcDateTime())
)
_FORGET = delete(spare_token_keys).where(*_THIS)
# Whatever wrote it down: a key that signs for somebody is not spare.
_IN_USE = [
    exists().where(
        owner.c.token == spare_token_keys.c.token, owner.c.token_key == spare_token_keys.c.token_key
    )
    for owner in (issuers, pending_issuers, ocsp_responders)
]
_SPARE = (
    select(spare_token_keys)
    .where(spare_token_keys.c.token == bindparam("of_token"), *(~in_use for in_use in _IN_USE))
    .order_by(spare_token_keys.c.destroy_from, spare_token_keys.c.token_key)
)
_MARK = (
    update(spare_token_keys)
    .where(
        *_THIS,
        _UNMARKED,
        spare_token_keys.c.destroy_from <= bindparam("now", type_=UtcDateTime()),
        *(~in_use for in_use in _IN_USE),
    )
    .values(was_found=bindparam("found"))
)
# Locked: of two that forget one, the other finds none.
_WRITTEN_DOWN = select(spare_token_keys.c.was_found).where(*_THIS).with_for_update()
_ENDED = (
    select(ocsp_responders.c.id, ocsp_responders.c.token, ocsp_responders.c.token_key)
    .where(ocsp_responders.c.token == bindparam("of_token"), ocsp_responders.c.not_after <= bindparam("now"))
    .order_by(ocsp_responders.c.id)
)
_RELEASE = (
    update(ocsp_responders)
    .where(ocsp_responders.c.id == bindparam("of_responder"))
    .values(token=null(), token_key=null())
)


class SqlSpareKeys:
    """Remembers them."""

    def __init__(self, database: Database, *, node: str) -> None:
        self._database = database
        self._node = node

    async def spare(self, token: str) -> Sequence[SpareKey]:
        """Return those in a token."""
        return await self._database.read(partial(_spare, token=token))

    async def release_ended(self, token: str, now: datetime) -> None:
        """Write down the keys of responders that have ended by now."""
        if await self._database.read(partial(_ended, token=token, now=now)):
            await self._database.write(partial(_release_ended, token=token, now=now))

    async def mark(self, place: TokenKey, *, now: datetime, was_found: bool) -> bool:
        """Make one nobody's for ever, and keep whether the token has it; tell whether it may be destroyed.

        It may not if it signs for somebody, or if its time has not come. One that is marked already stays so.
        """
        return await self._database.write(partial(_mark, place=place, now=now, was_found=was_found))

    async def gone(self, place: TokenKey, event_if: EventIf, *, was_destroyed: bool) -> None:
        """Forget one that is not in the token any more, and write the event; unless another process has.

        It was there if it was found when it was marked, or destroyed now.
        """
        await self._database.write(
            partial(_gone, node=self._node, place=place, event_if=event_if, was_destroyed=was_destroyed)
        )


def put_aside(
    connection: Connection, place: TokenKey, destroy_from: datetime, *, issuer_id: str | None = None
) -> None:
    """Write down a key that nobody signs with, in the transaction under way; of which request, if of one."""
    values = {**token_columns(place), "destroy_from": destroy_from, "issuer_id": issuer_id}
    connection.execute(_ADD.on(connection), values)


def claim(connection: Connection, place: TokenKey, now: datetime) -> bool:
    """Make a key somebody's, in the transaction under way; tell whether it still could be.

    It cannot if it is not written down any more, or if it is destroyed, or may be from now on.
    """
    return connection.execute(_CLAIM, {**_this(place), "now": now}).rowcount == 1


def _this(place: TokenKey) -> dict[str, str]:
    return {"of_token": place.token, "of_key": place.key_id}


def _mark(connection: Connection, *, place: TokenKey, now: datetime, was_found: bool) -> bool:
    connection.execute(_MARK, {**_this(place), "now": now, "found": was_found})
    row = connection.execute(_WRITTEN_DOWN, _this(place)).one_or_none()
    return row is not None and row.was_found is not None


def _spare(connection: Connection, *, token: str) -> list[SpareKey]:
    return [
        SpareKey(
            place=TokenKey(token=row.token, key_id=row.token_key),
            destroy_from=row.destroy_from,
            issuer_id=row.issuer_id,
        )
        for row in connection.execute(_SPARE, {"of_token": token})
    ]


def _ended(connection: Connection, *, token: str, now: datetime) -> Sequence[AnyRow]:
    return connection.execute(_ENDED, {"of_token": token, "now": now}).all()


def _release_ended(connection: Connection, *, token: str, now: datetime) -> None:
    for row in _ended(connection, token=token, now=now):
        put_aside(connection, TokenKey(token=row.token, key_id=row.token_key), now)
        connection.execute(_RELEASE, {"of_responder": row.id})


def _gone(
    connection: Connection, *, node: str, place: TokenKey, event_if: EventIf, was_destroyed: bool
) -> None:
    row = connection.execute(_WRITTEN_DOWN, _this(place)).one_or_none()
    if row is None:
        return
    connection.execute(_FORGET, _this(place))
    if (event := event_if(was_destroyed or row.was_found is True)) is not None:
        audit_log.append(connection, node, event)
