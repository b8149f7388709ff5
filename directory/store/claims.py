"""Who works on which queued row now? Claims are leases: whoever dies with one loses it when it runs out.

For tables with the columns `id`, `due_at`, `claimed_by`, `claimed_until` and `attempts`. A claim counts as an
attempt, which fences off whoever comes back after another has claimed the row.
"""

from sqlalchemy import ColumnElement, Table, bindparam, case, func, or_, select, update


class Claims:
    """The statements over one table; `queued` says which rows have not ended, `waiting` which may be had."""

    def __init__(
        self, table: Table, *, queued: ColumnElement[bool], waiting: tuple[ColumnElement[bool], ...]
    ) -> None:
        columns = table.c
        self.is_due = (
            *waiting,
            columns.due_at <= bindparam("now"),
            or_(columns.claimed_until.is_(None), columns.claimed_until <= bindparam("now")),
        )
        # A common table expression that locks is evaluated once; a plain subquery might be for every row, and
        # would then claim more than `most`.
        due = (
            select(columns.id)
            .where(*self.is_due)
            .order_by(columns.due_at)
            .limit(bindparam("most"))
            .with_for_update(of=table, skip_locked=True)
            .cte("due")
        )
        self.claim = (
            update(table)
            .where(columns.id.in_(select(due.c.id)))
            .values(
                claimed_by=bindparam("worker"),
                claimed_until=bindparam("lease_until"),
                attempts=columns.attempts + 1,
            )
            .returning(columns.id)
        )
        later = columns.claimed_until > columns.due_at
        self.next_due = select(func.min(case((later, columns.claimed_until), else_=columns.due_at))).where(
            *waiting
        )
        self.release = (
            update(table)
            .where(queued, columns.claimed_by == bindparam("worker"))
            .values(claimed_by=None, claimed_until=None)
        )
