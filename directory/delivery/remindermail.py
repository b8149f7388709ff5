"""What is a recipient told who has not shown that his key works? What he may still do, once, in plain words.

Not encrypted, for perhaps he cannot decrypt; so there is no link in it that would prove anything.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from directory.delivery.composing import Composed
from directory.delivery.keymail import FILE_NAME, OPT_OUT_LIFETIME
from directory.delivery.letters import letter
from directory.delivery.outbox import DueMail
from directory.delivery.stationery import Stationery
from directory.links import LinkPurpose, NewLink, issue_link
from directory.organization import KeyDelivery
from directory.pages import Pages

MESSAGE = "reminder"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderComposer:
    """Writes reminders."""

    stationery: Stationery
    pages: Pages
    hold: timedelta
    """How long the key is held after acceptance."""

    def compose(self, mail: DueMail, *, now: datetime) -> Composed:
        """Return the message and the links in it; it offers the key only while the service has it."""
        delivery = mail.organization.correspondence.key_delivery
        stop_token, stop_link = issue_link(LinkPurpose.STOP, now + OPT_OUT_LIFETIME)
        stop_url = self.pages.stop(stop_token)
        links: tuple[NewLink, ...] = (stop_link,)
        install_url = ""
        if delivery is not KeyDelivery.ATTACHMENT and _is_held(mail):
            install_token, install_link = issue_link(LinkPurpose.INSTALL, mail.give_up_at + self.hold)
            install_url = self.pages.install(install_token)
            links += (install_link,)
        variables = {
            "address": str(mail.mailbox),
            "file_name": "" if delivery is KeyDelivery.LINK else FILE_NAME,
            "install_url": install_url,
            "stop_url": stop_url,
        }
        message = letter(self.stationery, mail, MESSAGE, variables=variables, now=now)
        return Composed(message=replace(message, unsubscribe=stop_url).to_bytes(), links=links)


def _is_held(mail: DueMail) -> bool:
    return mail.sealed_key is not None and mail.sealed_password is not None
