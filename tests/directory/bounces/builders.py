"""Notifications to deviate from, and the samples: bounces in many shapes, and what comes besides bounces."""

from email.message import EmailMessage
from pathlib import Path

from ca.address import Mailbox
from directory.bounces.judging import SentMail
from directory.delivery.outbox import MailKind

SAMPLES = Path(__file__).with_name("samples")

# Of the mail that all samples are about.
TOKEN = "5f1c2ab94e0d47c8b3a6912f7d80e6c4"
RETURN_PATH = f"keys+{TOKEN}@hospital.example.org"
RECIPIENT = Mailbox.parse("anna.berger@praxis.example.net")
MESSAGE_ID = "<0b8e4c61d2f3475a9c1e6b7a8d90f123.key.1@hospital.example.org>"

FAILED = (
    "exchange_online",
    "exim",
    "exim_in_words",
    "forwarded",
    "gmail",
    "postfix",
    "qmail",
    "sendmail",
    "truncated",
    "yahoo",
)
"""Shapes of a failure for `RECIPIENT`, or where his mail was forwarded to."""


def sample(name: str) -> bytes:
    """Return a sample with the line ends of the wire."""
    return (SAMPLES / f"{name}.eml").read_bytes().replace(b"\n", b"\r\n")


def a_sent_mail(
    *, recipient: Mailbox = RECIPIENT, message_id: str = MESSAGE_ID, kind: MailKind = MailKind.KEY
) -> SentMail:
    return SentMail(
        mail_id="mail-1",
        enrolment_id="enrolment-1",
        organization_id="org-1",
        kind=kind,
        recipient=recipient,
        message_id=message_id,
    )


def a_notification(
    *,
    recipient: str = str(RECIPIENT),
    to: str = RETURN_PATH,
    action: str = "failed",
    status: str = "5.1.1",
    envelope_id: str | None = None,
    message_id: str | None = None,
    international: bool = False,
) -> bytes:
    """Return a notification as RFC 3464 has it, with the header of the mail it is about if that is named.

    As RFC 6533 has it, if it is international.
    """
    address_type, kind = (
        ("utf-8", "global-delivery-status") if international else ("rfc822", "delivery-status")
    )
    per_message = "Reporting-MTA: dns; mx.example.net\r\n"
    if envelope_id is not None:
        per_message += f"Original-Envelope-Id: {envelope_id}\r\n"
    per_recipient = (
        f"Final-Recipient: {address_type}; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; 550 {status} said the other side\r\n"
    )
    parts = [
        "Content-Type: text/plain\r\n\r\nSomething became of your mail.\r\n",
        f"Content-Type: message/{kind}\r\n\r\n{per_message}\r\n{per_recipient}",
    ]
    if message_id is not None:
        parts.append(f"Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: {message_id}\r\n")
    return (
        f"From: MAILER-DAEMON@mx.example.net\r\nTo: {to}\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        + "".join(f"--b\r\n{part}\r\n" for part in parts)
        + "--b--\r\n"
    ).encode()


def an_automatic_reply(*, to: str = RETURN_PATH) -> bytes:
    message = EmailMessage()
    message["From"] = str(RECIPIENT)
    message["To"] = to
    message["Subject"] = "Out of office"
    message["Auto-Submitted"] = "auto-replied"
    message.set_content("I am away until Monday.")
    return message.as_bytes()
