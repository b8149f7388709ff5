"""The notice of a recovery: to the recipient, in his language, without a secret and without a link."""

import email
import email.policy
from dataclasses import replace
from datetime import timedelta

import pytest

from directory.delivery.outbox import MailKind
from directory.delivery.recoverymail import RecoveryNoticeComposer
from tests.directory.delivery.builders import NOW, PASSWORD, a_due_mail, a_stationery
from tests.directory.delivery.equality import check_equal_in_content


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "On 22 November 2026 this copy was taken out"),
        ("de", "Am 22. November 2026 wurde diese Kopie herausgeholt"),
        ("fr", "Le 22 novembre 2026, cette copie a été sortie"),
        ("es", "El 22 de noviembre de 2026 se sacó esa copia"),
    ],
)
def test_tells_the_recipient_when_and_with_whose_consent(language: str, said: str) -> None:
    mail = replace(a_due_mail(address="anna@example.org"), kind=MailKind.KEY_RECOVERED, language=language)
    mail = replace(mail, sealed_key=None, sealed_password=None)

    composed = RecoveryNoticeComposer(stationery=a_stationery()).compose(mail, now=NOW + timedelta(days=2))

    parsed = email.message_from_bytes(composed.message, policy=email.policy.SMTP)
    plain, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert composed.links == ()
    assert parsed["To"] == "anna@example.org"
    assert said in plain.get_content()
    assert PASSWORD not in plain.get_content()
    assert "http" not in plain.get_content()
    check_equal_in_content(plain.get_content(), html.get_content())
