"""How does a reader of a long list come back for more? With the place of the last thing he was shown.

A place and no number: what is added or taken away meanwhile shifts nothing.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

CURSOR_PATTERN = r"^[0-9]\.[0-9]{1,16}\.[0-9A-Za-z_-]{1,64}$"
"""What a cursor looks like; 16 digits of microseconds reach beyond the year 2280."""

_FORM = re.compile(CURSOR_PATTERN)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place in a list that is ordered by rank, moment and identifier."""

    rank: int = 0
    """Of the group it stands in, where the list has groups."""
    moment: datetime
    record_id: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote.

        Raises:
            ValueError: it is no cursor.
        """
        if _FORM.fullmatch(text) is None:
            raise ValueError("not a cursor")
        rank, microseconds, record_id = text.split(".")
        moment = _EPOCH + int(microseconds) * _MICROSECOND
        return cls(rank=int(rank), moment=moment, record_id=record_id)

    def __str__(self) -> str:
        return f"{self.rank}.{(self.moment - _EPOCH) // _MICROSECOND}.{self.record_id}"
