"""How does an organization hear of passwords that nobody passes on? Soon it is too late; now it is."""

from dataclasses import dataclass, replace
from datetime import datetime

from directory.delivery.composing import Composed
from directory.delivery.letters import letter
from directory.delivery.outbox import DueMail
from directory.delivery.stationery import Stationery


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayNoticeComposer:
    """Writes one of the notices; both name the recipient's address, and no secret."""

    message: str
    """`notice_expiring` or `notice_expired`."""
    stationery: Stationery

    def compose(self, mail: DueMail, *, now: datetime) -> Composed:
        """Return the notice, in the organization's language.

        The first one is pointless when the password is gone, so it is given up then: the day that it names.
        """
        variables = {
            "address": str(mail.mailbox),
            "minted_on": _day(mail.minted_at),
            "expires_on": _day(mail.give_up_at),
            "enrolment_id": mail.enrolment_id,
        }
        in_their_language = replace(mail, language=mail.organization.correspondence.language)
        message = letter(self.stationery, in_their_language, self.message, variables=variables, now=now)
        return Composed(message=message.to_bytes())


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
