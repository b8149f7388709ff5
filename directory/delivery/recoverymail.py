"""How does a recipient hear that his escrowed key was taken out? In plain words, with nothing to click on.

Not encrypted: whoever needed his key recovered may be unable to decrypt.
"""

from dataclasses import dataclass
from datetime import datetime

from directory.delivery.composing import Composed
from directory.delivery.letters import letter
from directory.delivery.outbox import DueMail
from directory.delivery.stationery import Stationery

MESSAGE = "key_recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryNoticeComposer:
    """Writes these notices."""

    stationery: Stationery

    def compose(self, mail: DueMail, *, now: datetime) -> Composed:
        """Return the notice; the day it names is that of the release, when the mail was queued."""
        variables = {"address": str(mail.mailbox), "recovered_on": f"{mail.created_at:%Y-%m-%d}"}
        return Composed(
            message=letter(self.stationery, mail, MESSAGE, variables=variables, now=now).to_bytes()
        )
