import pytest

from ca.address import Mailbox
from directory.bounces.judging import Complained, Delayed, Failed, Ignored, judge
from directory.bounces.reports import read_report
from tests.directory.bounces.builders import FAILED, MESSAGE_ID, a_notification, a_sent_mail, sample


@pytest.mark.parametrize("name", FAILED)
def test_a_genuine_failure_fails_the_mail(name: str) -> None:
    assert isinstance(judge(read_report(sample(name)), a_sent_mail()), Failed)


def test_a_failure_for_an_address_beyond_ascii_fails_the_mail() -> None:
    mail = a_sent_mail(recipient=Mailbox.parse("anna.berger@praxis-süd.example.net"))
    assert isinstance(judge(read_report(sample("internationalized")), mail), Failed)


@pytest.mark.parametrize("name", sorted({*FAILED, "delayed", "complaint"}))
def test_a_report_about_somebody_else_is_ignored(name: str) -> None:
    other = a_sent_mail(
        recipient=Mailbox.parse("bob@elsewhere.example.org"), message_id="<other@hospital.example.org>"
    )
    assert judge(read_report(sample(name)), other) is Ignored.NOT_ABOUT_OUR_RECIPIENT


def test_a_returned_mail_of_ours_makes_up_for_a_forwarded_address() -> None:
    about_another = a_notification(recipient="ab@elsewhere.example.com")
    returned = a_notification(recipient="ab@elsewhere.example.com", message_id=MESSAGE_ID)

    assert judge(read_report(about_another), a_sent_mail()) is Ignored.NOT_ABOUT_OUR_RECIPIENT
    assert isinstance(judge(read_report(returned), a_sent_mail()), Failed)


def test_of_several_recipients_only_ours_counts() -> None:
    assert judge(read_report(sample("several_recipients")), a_sent_mail()) is Ignored.DELIVERED


def test_a_delay_is_no_failure() -> None:
    assert isinstance(judge(read_report(sample("delayed")), a_sent_mail()), Delayed)


def test_a_complaint_is_one_only_about_a_mail_of_ours() -> None:
    assert isinstance(judge(read_report(sample("complaint")), a_sent_mail()), Complained)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("delivered", Ignored.DELIVERED),
        ("receipt", Ignored.RECEIPT),
        ("out_of_office", Ignored.AUTOMATIC_REPLY),
        ("challenge", Ignored.AUTOMATIC_REPLY),
    ],
)
def test_the_rest_is_ignored(name: str, reason: Ignored) -> None:
    assert judge(read_report(sample(name)), a_sent_mail()) is reason


def test_what_cannot_be_read_is_ignored() -> None:
    assert judge(read_report(b"\n" * 100_000), a_sent_mail()) is Ignored.UNREADABLE
