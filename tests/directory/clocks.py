"""A clock that stands still until told otherwise."""

from datetime import UTC, datetime, timedelta


class StoppedClock:
    """Shows one moment; `advance` moves it."""

    def __init__(self, moment: datetime = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)) -> None:
        self._moment = moment

    def now(self) -> datetime:
        return self._moment

    def advance(self, by: timedelta) -> None:
        self._moment += by
