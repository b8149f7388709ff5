"""How are the limits charged so that no race overshoots them? Lock their rows, count, write."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, select, update

from directory.limits import Limit
from directory.store.statements import Upsert
from directory.store.tables import limit_buckets

# Makes the row if there is none and locks it in either case, so that a bucket's first two charges cannot both
# find it full. Several rows are inserted in the order given: everybody takes the locks in the same one.
_LOCK = Upsert(
    limit_buckets,
    lambda insert: insert.on_conflict_do_update(
        index_elements=[limit_buckets.c.bucket], set_={"arrival": limit_buckets.c.arrival}
    ).returning(limit_buckets.c.bucket, limit_buckets.c.arrival),
)
_CHARGE = (
    update(limit_buckets)
    .where(limit_buckets.c.bucket == bindparam("charged"))
    .values(arrival=bindparam("moved_to"))
)
# Takes no lock that it would have to wait for: a charge takes several, in an order that is not ours here.
_FULL = (
    select(limit_buckets.c.bucket)
    .where(limit_buckets.c.arrival < bindparam("now"))
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
    .cte("full_buckets")
)
_FORGET = (
    delete(limit_buckets)
    .where(limit_buckets.c.bucket.in_(select(_FULL.c.bucket)))
    .returning(limit_buckets.c.bucket)
)


def charge(connection: Connection, limits: Sequence[Limit], now: datetime) -> None:
    """Charge every limit, in the transaction under way; it must be rolled back if one is used up.

    Raises:
        LimitReached: one of them is used up.
    """
    if not limits:
        return
    # `now` as arrival is a full bucket, as is any earlier moment.
    full = [{"bucket": limit.bucket, "arrival": now} for limit in limits]
    arrivals = {row.bucket: row.arrival for row in connection.execute(_LOCK.on(connection), full)}
    connection.execute(
        _CHARGE,
        [
            {"charged": limit.bucket, "moved_to": limit.charge(arrivals[limit.bucket], now)}
            for limit in limits
        ],
    )


def lock(connection: Connection, bucket: str, now: datetime) -> None:
    """Keep everybody else away from a bucket until the transaction under way ends; charge nothing."""
    connection.execute(_LOCK.on(connection), {"bucket": bucket, "arrival": now}).close()


def forget_full(connection: Connection, now: datetime, most: int) -> int:
    """Delete up to so many buckets that have filled up, which are as good as none; return how many."""
    return len(connection.execute(_FORGET, {"now": now, "most": most}).all())
