"""How do readers and the writer of one SQLite file stay out of each other's way?

A commit to a rollback journal needs the file for itself for a moment. SQLite sees to that, but whoever comes
at the wrong time sleeps, looks again, and sleeps longer: under load for half a second and more. At this gate
he is woken instead. Other processes are not behind it; against them SQLite's own locks stand.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class CommitGate:
    """Keeps readers out while the writer commits, and him waiting until they are out.

    Nobody waits longer than `patience`, in seconds: then SQLite's locks decide, as they do anyway.
    """

    def __init__(self, *, patience: float) -> None:
        self._patience = patience
        self._changed = Condition()
        self._readers = 0
        self._is_committing = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Wait until nobody commits; then keep the writer from it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_committing, self._patience)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Let no new reader in, and wait until those inside have left."""
        with self._changed:
            self._is_committing = True
            self._changed.wait_for(lambda: not self._readers, self._patience)
        try:
            yield
        finally:
            with self._changed:
                self._is_committing = False
                self._changed.notify_all()
