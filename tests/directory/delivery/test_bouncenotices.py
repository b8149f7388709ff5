import email
from dataclasses import replace
from email import policy
from email.message import EmailMessage

import pytest

from ca.address import Mailbox
from directory.delivery.bouncenotices import BounceNoticeComposer
from directory.delivery.outbox import DueMail, MailKind
from directory.organization import Correspondence
from tests.directory.builders import an_organization
from tests.directory.delivery.builders import NOW, a_due_mail, a_stationery

DESK = Mailbox.parse("desk@hospital.org")
MESSAGES = ("notice_bounced", "notice_paused")


def a_notice(*, language: str = "en") -> DueMail:
    organization = replace(
        an_organization(), correspondence=Correspondence(language=language, notices_to=DESK)
    )
    # The recipient was written to in another language than the desk's.
    return a_due_mail(kind=MailKind.NOTICE_BOUNCED, recipient=DESK, language="es", organization=organization)


def written(message: str, mail: DueMail) -> EmailMessage:
    composed = BounceNoticeComposer(message=message, stationery=a_stationery()).compose(mail, now=NOW)
    assert composed.links == ()
    return email.message_from_bytes(composed.message, policy=policy.default)


@pytest.mark.parametrize("message", MESSAGES)
def test_goes_to_the_desk_and_names_the_recipient(message: str) -> None:
    mail = a_notice()
    notice = written(message, mail)
    body = notice.get_body(("plain",))

    assert notice["To"] == str(DESK)
    assert notice["Auto-Submitted"] == "auto-generated"
    assert body is not None
    assert "anna@recipient.example.org" in body.get_content()
    assert mail.enrolment_id in body.get_content()


def test_is_in_the_language_of_the_organization() -> None:
    assert "konnte nicht" in written("notice_bounced", a_notice(language="de"))["Subject"]


@pytest.mark.parametrize("message", MESSAGES)
def test_holds_no_attachment(message: str) -> None:
    assert [part.get_filename() for part in written(message, a_notice()).walk() if part.get_filename()] == []
