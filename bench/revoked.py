"""How do a million revoked certificates get into a database? Straight into its tables, over all partitions.

Each row is what the directory keeps of a certificate of its issuing CA; the certificate itself is as many
octets as usual, of no meaning, since nobody reads it here.
"""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection, insert

from ca.publication import Publication
from ca.revocation import RevocationReason
from directory.lookup import Origin
from directory.organization import SHARED_SCOPE
from directory.store.tables import certificates
from directory.wiring.authorities import crl_partitions
from directory.wiring.installation import Installation

_AT_ONCE: Final = 2_000
"""Few enough for the time limits of the store."""
_CERTIFICATE_OCTETS: Final = 1_400
_REASONS: Final = (RevocationReason.SUPERSEDED, RevocationReason.KEY_COMPROMISE, RevocationReason.UNSPECIFIED)


async def load_revoked(installation: Installation, count: int) -> int:
    """Put so many revoked certificates of the active issuing CA, and one that is not; return its serial.

    They are spread over the partitions that are configured, which are opened.
    """
    hierarchy = await installation.issuers.hierarchy()
    issuing = hierarchy.signer(SHARED_SCOPE, installation.clock.now())
    assert issuing is not None
    issuer_id = issuing.issuer_id
    publication = Publication(installation.settings.ca.public_url)
    partitions = await crl_partitions(installation, issuer_id, publication)
    rows = partial(_row, issuer_id=issuer_id, partitions=partitions, now=installation.clock.now())
    for first in range(0, count, _AT_ONCE):
        batch = [rows(number, is_revoked=True) for number in range(first, min(first + _AT_ONCE, count))]
        await installation.database.write(partial(_insert, rows=batch))
    good = rows(count, is_revoked=False)
    await installation.database.write(partial(_insert, rows=[good]))
    # Of so many rows it takes longer than a statement may in service.
    await installation.database.restructure(_analyze)
    return int(str(good["serial"]), 16)


def _insert(connection: Connection, *, rows: Sequence[dict[str, object]]) -> None:
    connection.execute(insert(certificates), rows)


def _row(
    number: int, *, issuer_id: str, partitions: Sequence[int], now: datetime, is_revoked: bool
) -> dict[str, object]:
    serial = int.from_bytes(os.urandom(20)) >> 1
    return {
        "id": f"{number:032x}",
        "issuer_id": issuer_id,
        "serial": f"{serial:x}",
        "scope": SHARED_SCOPE,
        "address": f"user{number}@example.com",
        "address_key": f"user{number}@example.com",
        "origin": Origin.FOUND.value,
        "der": os.urandom(_CERTIFICATE_OCTETS),
        "key_sha256": os.urandom(32),
        "not_before": now - timedelta(days=30),
        "not_after": now + timedelta(days=1, seconds=number),
        "published_at": now - timedelta(days=30),
        "revoked_at": now - timedelta(hours=1) if is_revoked else None,
        "revocation_reason": _REASONS[number % len(_REASONS)].value if is_revoked else None,
        "crl_partition": partitions[serial % len(partitions)],
    }


def _analyze(connection: Connection) -> None:
    # PostgreSQL would do so by itself, within minutes; without, it looks every row of an index up.
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ANALYZE certificates")
