import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from directory.bounces.parts import LARGEST_MESSAGE
from directory.bounces.reports import LONGEST_DIAGNOSTIC, Fate, Report, ReportKind, read_report
from tests.directory.bounces.builders import (
    FAILED,
    MESSAGE_ID,
    RECIPIENT,
    SAMPLES,
    TOKEN,
    a_notification,
    sample,
)

NAMES = sorted(path.stem for path in SAMPLES.glob("*.eml"))


def fates(report: Report) -> list[tuple[list[str], Fate]]:
    return [(sorted(status.recipients), status.fate) for status in report.statuses]


@pytest.mark.parametrize("name", [name for name in FAILED if name != "forwarded"])
def test_reads_a_failure_in_every_shape(name: str) -> None:
    assert fates(read_report(sample(name))) == [([RECIPIENT.key], Fate.FAILED)]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("postfix", "5.1.1"),
        ("exchange_online", "5.1.10"),
        ("exim", "5.0.0"),
        ("sendmail", "5.1.1"),
        ("gmail", "5.1.1"),
        ("truncated", "5.2.1"),
    ],
)
def test_reads_the_status_where_there_is_one(name: str, status: str) -> None:
    (found,) = read_report(sample(name)).statuses
    assert found.status == status


@pytest.mark.parametrize("name", ["postfix", "sendmail", "internationalized", "delayed", "delivered"])
def test_reads_the_envelope_identifier(name: str) -> None:
    assert read_report(sample(name)).envelope_id == TOKEN


@pytest.mark.parametrize(
    "name", ["postfix", "exchange_online", "exim", "sendmail", "gmail", "internationalized", "complaint"]
)
def test_reads_which_mail_was_returned(name: str) -> None:
    assert read_report(sample(name)).returned_message_ids == {MESSAGE_ID}


def test_reads_addresses_beyond_ascii_in_both_spellings() -> None:
    report = read_report(sample("internationalized"))

    assert fates(report) == [(["anna.berger@xn--praxis-sd-x9a.example.net"], Fate.FAILED)]
    only_raw = sample("internationalized").replace(b"Original-Recipient", b"X-Original-Recipient")
    assert fates(read_report(only_raw)) == fates(report)


def test_keeps_recipients_of_one_notification_apart() -> None:
    report = read_report(sample("several_recipients"))

    assert fates(report) == [
        ([RECIPIENT.key], Fate.DELIVERED),
        (["someone.else@praxis.example.net"], Fate.FAILED),
    ]


@pytest.mark.parametrize(("name", "fate"), [("delayed", Fate.DELAYED), ("delivered", Fate.DELIVERED)])
def test_reads_what_is_no_failure(name: str, fate: Fate) -> None:
    assert fates(read_report(sample(name))) == [([RECIPIENT.key], fate)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("complaint", ReportKind.COMPLAINT),
        ("receipt", ReportKind.RECEIPT),
        ("out_of_office", ReportKind.AUTOMATIC_REPLY),
        ("challenge", ReportKind.AUTOMATIC_REPLY),
    ],
)
def test_tells_what_is_no_notification(name: str, kind: ReportKind) -> None:
    report = read_report(sample(name))

    assert (report.kind, report.statuses) == (kind, ())


@pytest.mark.parametrize(
    ("action", "status", "fate"),
    [
        ("failed", "5.1.1", Fate.FAILED),
        ("failed", "4.4.7", Fate.FAILED),  # it was tried until its time ran out
        ("Failed (mailbox unknown)", "5.1.1", Fate.FAILED),
        ("", "5.1.1", Fate.FAILED),
        ("delayed", "4.2.2", Fate.DELAYED),
        ("relayed", "2.0.0", Fate.DELIVERED),
        ("expanded", "2.0.0", Fate.DELIVERED),
    ],
)
def test_the_action_decides(action: str, status: str, fate: Fate) -> None:
    (found,) = read_report(a_notification(action=action, status=status)).statuses
    assert found.fate is fate


@pytest.mark.parametrize(
    ("action", "status"), [("failed", "2.0.0"), ("delivered", "5.1.1"), ("exploded", "5.1.1"), ("", "")]
)
def test_a_status_that_contradicts_itself_says_nothing(action: str, status: str) -> None:
    assert read_report(a_notification(action=action, status=status)).statuses == ()


def test_foreign_words_are_kept_short_and_on_one_line() -> None:
    message = a_notification().replace(b"said the other side", b"\x1b[31m" + b"x" * 5000)
    (status,) = read_report(message).statuses

    assert len(status.diagnostic) <= LONGEST_DIAGNOSTIC
    assert status.diagnostic.isprintable()


def test_a_bounce_within_a_returned_message_is_not_read() -> None:
    inner = sample("postfix").decode()
    outer = (
        'From: a@example.net\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="o"\r\n\r\n'
        f"--o\r\nContent-Type: message/rfc822\r\n\r\n{inner}\r\n--o--\r\n"
    )
    report = read_report(outer.encode())

    assert report.statuses == ()


@pytest.mark.parametrize(
    "message",
    [
        b"x" * (LARGEST_MESSAGE + 1),
        b"\n" * 200_000,
        b"\r" * 200_000,
        b"".join(
            b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (depth, depth)
            for depth in range(5000)
        ),
        b"Content-Type: message/rfc822\r\n\r\n" * 5000,
        b"".join(
            b'Content-Type: multipart/mixed; boundary*0="%d"\r\n\r\n--%d\r\n' % (depth, depth)
            for depth in range(5000)
        ),
    ],
    ids=[
        "too large",
        "only lines",
        "only carriage returns",
        "nested",
        "messages in messages",
        "encoded names",
    ],
)
def test_what_would_overwhelm_the_parser_is_not_read(message: bytes) -> None:
    began = time.process_time()

    assert read_report(message).kind is ReportKind.UNREADABLE
    assert time.process_time() - began < 1


def test_the_most_laborious_message_that_is_read_is_read_in_time() -> None:
    head = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (depth, depth)
        for depth in range(29)
    )
    began = time.process_time()
    read_report(head + b"-\r\n" * 29_000)

    assert time.process_time() - began < 5


@given(st.binary(max_size=2000))
@example(b"Content-Type: multipart/report; boundary=\xff\r\n\r\n")
def test_any_octets_are_answered(message: bytes) -> None:
    assert read_report(message).kind in ReportKind


@given(
    name=st.sampled_from(NAMES),
    cut=st.tuples(st.integers(0, 4000), st.integers(0, 300)),
    put=st.binary(max_size=60),
)
def test_any_spoilt_sample_is_answered(name: str, cut: tuple[int, int], put: bytes) -> None:
    whole = sample(name)
    start, length = cut
    report = read_report(whole[:start] + put + whole[start + length :])

    assert report.kind in ReportKind
