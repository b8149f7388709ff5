"""How does a CRL of fifty megabytes get into the database and out again? In pieces, by short statements.

All pieces but the last are written before the CRL is published, each in a transaction of its own, and those
of a CRL that is no longer kept are deleted after it: nobody who mints waits for megabytes. What a process
leaves behind that ends in between is deleted an hour later.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from directory.store.database import Database
from directory.store.tables import crl_pieces, crls

PIECE: Final = 2**20
"""Octets."""
_LEFT_BEHIND: Final = timedelta(hours=1)
"""Longer than anybody takes to publish what he has written."""

_ADD = insert(crl_pieces)
_OF_DER = crl_pieces.c.der_id == bindparam("of_der")
_THIS = crl_pieces.c.piece == bindparam("at_piece")
_READ = select(crl_pieces.c.octets).where(_OF_DER, _THIS)
_COUNT = select(func.count()).select_from(crl_pieces).where(_OF_DER)
_DELETE = delete(crl_pieces).where(_OF_DER, _THIS)
_ABANDONED = (
    select(crl_pieces.c.der_id, crl_pieces.c.piece)
    .where(crl_pieces.c.written_at < bindparam("before"), crl_pieces.c.der_id.not_in(select(crls.c.der_id)))
    .limit(100)
)


def split(der: bytes) -> Sequence[bytes]:
    """Return the pieces."""
    return [der[at : at + PIECE] for at in range(0, len(der), PIECE)] or [b""]


def number_of(size: int) -> int:
    """Return how many pieces so many octets are."""
    return max(1, -(-size // PIECE))


def are_there(connection: Connection, der_id: str, number: int) -> bool:
    """Tell whether so many are written: a clock that is hours ahead makes others take them for abandoned."""
    found: int = connection.execute(_COUNT, {"of_der": der_id}).scalar_one()
    return found == number


def add(connection: Connection, der_id: str, piece: int, octets: bytes, at: datetime) -> None:
    """Write one piece, in the transaction under way."""
    row = {"der_id": der_id, "piece": piece, "written_at": at, "octets": octets}
    connection.execute(_ADD, row)


async def read(database: Database, der_id: str, size: int) -> bytes | None:
    """Return the whole; None if it was deleted meanwhile."""
    pieces: list[bytes] = []
    for piece in range(number_of(size)):
        found = await database.read(partial(_read, der_id=der_id, piece=piece))
        if found is None:
            return None
        pieces.append(found)
    return b"".join(pieces)


async def forget(database: Database, der_id: str, size: int) -> None:
    """Delete the pieces, one by one."""
    for piece in range(number_of(size)):
        await database.write(partial(_forget, der_id=der_id, piece=piece))


async def forget_abandoned(database: Database, now: datetime) -> None:
    """Delete pieces of CRLs that were never published, or whose deletion was interrupted."""
    for der_id, piece in await database.read(partial(_abandoned, before=now - _LEFT_BEHIND)):
        await database.write(partial(_forget, der_id=der_id, piece=piece))


def _read(connection: Connection, *, der_id: str, piece: int) -> bytes | None:
    found: bytes | None = connection.execute(
        _READ, {"of_der": der_id, "at_piece": piece}
    ).scalar_one_or_none()
    return found


def _forget(connection: Connection, *, der_id: str, piece: int) -> None:
    connection.execute(_DELETE, {"of_der": der_id, "at_piece": piece})


def _abandoned(connection: Connection, *, before: datetime) -> list[tuple[str, int]]:
    return [(row.der_id, row.piece) for row in connection.execute(_ABANDONED, {"before": before})]
