"""What does a due mail become? The port between the worker, which sends, and those who write the mails."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from directory.delivery.outbox import DueMail
from directory.links import NewLink


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A mail as it goes over the wire, with the links in it that are to be valid from now on."""

    message: bytes = field(repr=False)
    links: tuple[NewLink, ...] = ()


class Composer(Protocol):
    """Writes the mails of one kind."""

    def compose(self, mail: DueMail, *, now: datetime) -> Composed:
        """Return the mail, to be sent now; called once for each, in a thread.

        Raises:
            MailRefused: it must not be written as things are, and will not be by trying again.
        """
        ...
