"""What is an operation that waits for answers? Its questions, and how it goes on when they are there."""

from collections.abc import Sequence
from typing import Protocol

from directory.ldap.responses import Result
from directory.ldap.results import Outcome
from directory.lookup import Question


class Plan(Protocol):
    """How one search or compare will be answered."""

    @property
    def questions(self) -> tuple[Question, ...]:
        """What must be looked up first."""
        ...

    def responses(self, message_id: int, outcomes: Sequence[Outcome]) -> bytes:
        """Write the whole answer, given what became of each question, in their order."""
        ...

    def ending(self, message_id: int, result: Result) -> bytes:
        """Write the answer of an operation that ends with nothing but this result."""
        ...
