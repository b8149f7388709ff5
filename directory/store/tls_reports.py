"""How often did TLS to which exchanger go well or wrong, day by day? What reports are made of (RFC 8460)."""

import json
from datetime import date, timedelta
from functools import partial

from sqlalchemy import Connection, bindparam, delete, select

from directory.delivery.exchanges.tls_reports import Policy, PolicyKind, TlsCount, TlsSession
from directory.delivery.tls_faults import TlsFault
from directory.store.database import Database
from directory.store.statements import Upsert
from directory.store.tables import tls_reports

KEPT = timedelta(days=60)
_WENT_WELL = "successful"

_COUNT = Upsert(
    tls_reports,
    lambda insert: insert.on_conflict_do_update(
        index_elements=list(tls_reports.primary_key.columns),
        # The policy may have changed during the day; the report tells the last one.
        set_={"sessions": tls_reports.c.sessions + 1, "policy": insert.excluded.policy},
    ),
)
_OF_DAY = (
    select(tls_reports)
    .where(tls_reports.c.day == bindparam("day"))
    .order_by(tls_reports.c.policy_domain, tls_reports.c.mx_host, tls_reports.c.result_type)
)
_FORGET = delete(tls_reports).where(tls_reports.c.day < bindparam("before"))


class SqlTlsTally:
    """Counts of TLS sessions; those older than `KEPT` are forgotten."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tidied: date | None = None

    async def count(self, session: TlsSession, *, day: date) -> None:
        """Add one session to the counts of a day (UTC)."""
        tidying = self._tidied != day
        await self._database.write(partial(_count, session=session, day=day, tidying=tidying))
        self._tidied = day

    async def of_day(self, day: date) -> list[TlsCount]:
        """Return the counts of a day (UTC)."""
        return await self._database.read(partial(_of_day, day=day))


def _count(connection: Connection, *, session: TlsSession, day: date, tidying: bool) -> None:
    if tidying:
        connection.execute(_FORGET, {"before": (day - KEPT).isoformat()})
    connection.execute(
        _COUNT.on(connection),
        {
            "day": day.isoformat(),
            "policy_domain": session.domain,
            "policy_type": session.policy.kind.value,
            "result_type": session.fault.value if session.fault else _WENT_WELL,
            "mx_host": session.mx_host,
            "policy": json.dumps(session.policy.lines),
            "sessions": 1,
        },
    )


def _of_day(connection: Connection, *, day: date) -> list[TlsCount]:
    return [
        TlsCount(
            day=day,
            domain=row.policy_domain,
            policy=Policy(kind=PolicyKind(row.policy_type), lines=tuple(json.loads(row.policy))),
            mx_host=row.mx_host,
            fault=None if row.result_type == _WENT_WELL else TlsFault(row.result_type),
            sessions=row.sessions,
        )
        for row in connection.execute(_OF_DAY, {"day": day.isoformat()})
    ]
