"""Which lookups of one connection are under way, and when has somebody to look after them?

A lookup may last beyond its client's patience: then the client is answered without it. If it still does not
end, it is cancelled, so that its place is free again.
"""

import asyncio
from math import inf

from directory.ldap.actions import Operation


class _Lookup:
    __slots__ = ("deadline", "is_late", "task")

    def __init__(self, task: asyncio.Task[None], deadline: float) -> None:
        self.task = task
        self.deadline = deadline
        self.is_late = False


class LookupsUnderWay:
    """The lookups of one connection. Moments are of the event loop's clock, spans in seconds."""

    __slots__ = ("_ceiling", "_lookups")

    def __init__(self, ceiling: float) -> None:
        self._ceiling = ceiling
        self._lookups: dict[Operation, _Lookup] = {}

    def begin(self, operation: Operation, task: asyncio.Task[None], deadline: float) -> None:
        """Take notice of a lookup, and how long its client waits for it."""
        self._lookups[operation] = _Lookup(task, deadline)

    def end(self, operation: Operation) -> None:
        """Take notice of its end."""
        del self._lookups[operation]

    @property
    def next_deadline(self) -> float:
        """When to look again; never, if nothing is under way."""
        return min((lookup.deadline for lookup in self._lookups.values()), default=inf)

    def late_at(self, now: float) -> list[Operation]:
        """Return what has to be answered without its lookup; cancel what was late long ago."""
        late = []
        for operation, lookup in self._lookups.items():
            if lookup.deadline > now:
                continue
            if lookup.is_late:
                lookup.task.cancel()
                lookup.deadline = inf
            else:
                lookup.is_late = True
                lookup.deadline = now + self._ceiling
                late.append(operation)
        return late
