"""How much is waiting in the tables? Counted for the metrics."""

from sqlalchemy import Connection, func, select, text

from ca.keys import KeyAlgorithm
from directory.backlog import Backlog
from directory.clock import Clock
from directory.renewal import RenewalRules
from directory.store.database import Database
from directory.store.renewals import count_due
from directory.store.tables import outgoing_mail, pooled_keys, relays

# As text: with a parameter in its place SQLite would not use the index of queued mails.
_MAILS = select(func.count(), func.min(outgoing_mail.c.created_at)).where(text("state = 'queued'"))
_RELAYS = select(func.count()).select_from(relays).where(relays.c.closed_at.is_(None))

_POOLED_KEYS = select(pooled_keys.c.algorithm, func.count().label("keys")).group_by(pooled_keys.c.algorithm)


class SqlBacklog:
    """What waits in one database."""

    def __init__(self, database: Database, *, clock: Clock, renewal: RenewalRules) -> None:
        self._database = database
        self._clock = clock
        self._renewal = renewal

    async def backlog(self) -> Backlog:
        """Count what waits."""
        return await self._database.read(self._backlog)

    def _backlog(self, connection: Connection) -> Backlog:
        now = self._clock.now()
        mails, oldest = connection.execute(_MAILS).one()
        due, late = count_due(
            connection,
            now=now,
            until=now + self._renewal.before,
            late_until=now + self._renewal.lead_before,
        )
        return Backlog(
            mails=mails,
            oldest_mail_from=oldest,
            relays=connection.execute(_RELAYS).scalar_one(),
            renewals=due,
            late_renewals=late,
            pooled_keys={KeyAlgorithm(row.algorithm): row.keys for row in connection.execute(_POOLED_KEYS)},
        )
