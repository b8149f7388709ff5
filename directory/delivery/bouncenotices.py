"""How does an organization hear that its key mails came back? One notice for each; one when it is too many.

None of a foreign server's words are in them: whoever answers for a domain could write to the desk otherwise.
They are shown with the enrolment.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from directory.delivery.composing import Composed
from directory.delivery.letters import letter
from directory.delivery.outbox import DueMail
from directory.delivery.stationery import Stationery


@dataclass(frozen=True, slots=True, kw_only=True)
class BounceNoticeComposer:
    """Writes one of the notices."""

    message: str
    """`notice_bounced` or `notice_paused`."""
    stationery: Stationery

    def compose(self, mail: DueMail, *, now: datetime) -> Composed:
        """Return the notice, in the organization's language."""
        variables = {
            "address": str(mail.mailbox),
            "domain": mail.mailbox.domain,
            "minted_on": f"{mail.minted_at:%Y-%m-%d}",
            "enrolment_id": mail.enrolment_id,
        }
        in_their_language = replace(mail, language=mail.organization.correspondence.language)
        message = letter(self.stationery, in_their_language, self.message, variables=variables, now=now)
        return Composed(message=message.to_bytes())
