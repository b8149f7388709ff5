"""Which certificates are for the mailbox that passwords are sent to."""

from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from ca.address import Mailbox
from ca.mailnames import SMTP_UTF8_MAILBOX
from directory.delivery.desk import password_mail
from directory.errors import ConfigurationRefused
from tests.builders import NOW
from tests.directory.builders import an_organization
from tests.directory.foreign import a_foreign_certificate

DESK = Mailbox.parse("desk@hospital.org")
HERS = x509.RFC822Name("Desk@hospital.org")
OTHERS = x509.RFC822Name("other@hospital.org")


def an_other_name(der: bytes) -> x509.OtherName:
    return x509.OtherName(SMTP_UTF8_MAILBOX, der)


IN_THE_WRONG_FORM = an_other_name(b"\x0c\x11desk@hospital.org")
MALFORMED = an_other_name(b"\x16\x11desk@hospital.org")


@pytest.mark.parametrize("names", [(HERS,), (OTHERS, HERS), (MALFORMED, HERS)])
def test_one_that_names_it_is(names: Sequence[x509.GeneralName]) -> None:
    key = rsa.generate_private_key(65537, 2048).public_key()
    set_up = password_mail(an_organization(), DESK, a_foreign_certificate(*names, key=key), NOW)
    assert set_up.mailbox == DESK


@pytest.mark.parametrize("names", [(OTHERS,), (IN_THE_WRONG_FORM,), (MALFORMED, OTHERS)])
def test_one_that_names_it_in_another_form_is_not(names: Sequence[x509.GeneralName]) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        password_mail(an_organization(), DESK, a_foreign_certificate(*names), NOW)
    assert refused.value.reason == f"is not for {DESK}"
