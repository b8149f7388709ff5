"""Which operations of a session wait for answers? Begun, answered, abandoned or cancelled, each once.

An abandoned or cancelled operation is over for its client, but its lookup goes on and takes up room until it
ends. Knows nothing of who asks, nor of what an answer looks like.
"""

from collections.abc import Iterator

from directory.ldap.actions import Operation
from directory.ldap.answers import Ticket
from directory.ldap.codes import ResultCode
from directory.ldap.plans import Plan
from directory.ldap.responses import Result
from directory.ldap.settings import LdapSettings


class Operations:
    """The operations under way, by message identifier."""

    __slots__ = ("_by_message_id", "_lookups", "_settings")

    def __init__(self, settings: LdapSettings) -> None:
        self._settings = settings
        self._by_message_id: dict[int, Operation] = {}
        self._lookups = 0
        """Lookups under way, among them those whose answer nobody waits for any more."""

    def __len__(self) -> int:
        return len(self._by_message_id)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._by_message_id.values())

    def __contains__(self, message_id: object) -> bool:
        """Tell whether the identifier is in use."""
        return message_id in self._by_message_id

    @property
    def have_room(self) -> bool:
        """Whether one more lookup may begin."""
        return self._lookups < self._settings.operations_per_connection

    def begin(self, message_id: int, plan: Plan, *, time_limit: int, ticket: Ticket | None) -> Operation:
        """Begin one that waits for a lookup; `time_limit` is the client's, in seconds, 0 for none."""
        seconds, code = self._settings.answer_within, ResultCode.BUSY
        if 0 < time_limit <= seconds:
            seconds, code = time_limit, ResultCode.TIME_LIMIT_EXCEEDED
        operation = Operation(
            message_id=message_id, plan=plan, seconds=seconds, when_late=Result(code=code), ticket=ticket
        )
        self._by_message_id[message_id] = operation
        self._lookups += 1
        return operation

    def lookup_ended(self, operation: Operation) -> bool:
        """Give its room back; return whether its client still waits for the answer."""
        self._lookups -= 1
        return self.is_under_way(operation)

    def is_under_way(self, operation: Operation) -> bool:
        """Whether its client waits for the answer."""
        return self._by_message_id.get(operation.message_id) is operation

    def drop(self, message_id: int) -> Operation | None:
        """Wait no more for the answer to this message; return the operation if there is one."""
        return self._by_message_id.pop(message_id, None)

    def drop_all(self) -> None:
        """Wait for nothing any more."""
        self._by_message_id.clear()
