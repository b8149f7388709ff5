import smtplib
import ssl
from pathlib import Path

import pytest

from bench.smtp_sink import KEY_PACKAGE, smtp_sink
from tests.directory.delivery.tls import write_ca_file, write_identity

LETTER = "From: a@example.com\r\nSubject: a key\r\n\r\n.\r\nline\r\n"
KEY_MAIL = f"Content-Disposition: attachment; {KEY_PACKAGE.decode()}\r\n\r\nkey\r\n"


def test_mails_are_counted_as_a_real_client_sends_them() -> None:
    with smtp_sink() as sink:
        host, _, port = sink.url.removeprefix("smtp://").partition(":")
        with smtplib.SMTP(host, int(port)) as client:
            client.sendmail("keys@hospital.org", ["anna@example.com"], LETTER)
            client.rset()
            client.sendmail("keys@hospital.org", ["bert@example.com"], KEY_MAIL)

        mails = sink.mails_to({"anna@example.com", "bert@example.com"}, within=5)

    assert [(mail.recipient, mail.has_key_package) for mail in mails] == [
        ("anna@example.com", False),
        ("bert@example.com", True),
    ]
    assert mails[0].accepted_at <= mails[1].accepted_at


def test_it_speaks_under_tls_if_it_has_an_identity(tmp_path: Path) -> None:
    trust = ssl.create_default_context(cafile=write_ca_file(tmp_path))
    with smtp_sink(write_identity(tmp_path)) as sink:
        host, _, port = sink.url.removeprefix("smtps://").partition(":")
        with smtplib.SMTP_SSL(host, int(port), context=trust) as client:
            client.sendmail("keys@hospital.org", ["anna@example.com"], KEY_MAIL)

        (mail,) = sink.mails_to({"anna@example.com"}, within=5)

    assert mail.has_key_package


def test_a_mail_that_does_not_come_is_missed() -> None:
    with smtp_sink() as sink, pytest.raises(TimeoutError):
        sink.mails_to({"anna@example.com"}, within=0)
