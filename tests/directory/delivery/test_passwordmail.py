"""The password mail: only the organization's key opens it, and it goes nowhere near the recipient."""

import email
import email.policy
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given
from hypothesis import strategies as st

from ca.address import Mailbox
from directory.delivery.outbox import DueMail, MailKind
from directory.delivery.passwordmail import PasswordMailComposer, unsealed_password
from directory.delivery.stationery import Stationery
from directory.enrolmentsecrets import relay_password_identity
from directory.errors import EnvelopeRefused, MailRefused
from directory.organization import Correspondence, PasswordMail
from tests.directory.builders import an_organization
from tests.directory.delivery.builders import NOW, a_due_mail, a_sealer
from tests.directory.delivery.certificates import a_bare_certificate
from tests.directory.delivery.equality import check_equal_in_content

PASSWORD = "7K3QX-9M2TD-VB4NR-0HWZ8-5CEGJ"
DESK = Mailbox.parse("desk@hospital.org")
LABELS = st.text("abcdefgh", min_size=1, max_size=6)


@cache
def desk_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def desk_certificate() -> bytes:
    return a_bare_certificate(desk_key()).public_bytes(Encoding.DER)


@cache
def a_composer() -> PasswordMailComposer:
    return PasswordMailComposer(
        opened=lambda mail: unsealed_password(mail, a_sealer()), stationery=Stationery(None)
    )


def a_password_mail(
    *,
    address: str = "anna@example.org",
    desk: Mailbox = DESK,
    certificate: bytes | None = None,
    language: str = "de",
) -> DueMail:
    wanted = PasswordMail(mailbox=desk, certificate=certificate or desk_certificate())
    organization = replace(
        an_organization(), correspondence=Correspondence(language="fr", password_mail=wanted)
    )
    mail = a_due_mail(address=address, organization=organization)
    identity = relay_password_identity(mail.enrolment_id, organization.organization_id)
    return replace(
        mail,
        kind=MailKind.PASSWORD,
        recipient=DESK,
        language=language,
        sealed_password=a_sealer().seal(PASSWORD.encode(), identity),
    )


def decrypted(message: bytes) -> EmailMessage:
    outer = email.message_from_bytes(message, policy=email.policy.SMTP)
    body = outer.get_content()
    assert isinstance(body, bytes)
    certificate = a_bare_certificate(desk_key())
    entity = pkcs7.pkcs7_decrypt_der(body, certificate, desk_key(), [])
    return email.message_from_bytes(entity, policy=email.policy.SMTP)


def test_only_the_desks_key_opens_it() -> None:
    composed = a_composer().compose(a_password_mail(), now=NOW)

    inner = decrypted(composed.message)
    plain = inner.get_body(("plain",))
    assert plain is not None
    text = plain.get_content()
    assert PASSWORD in text
    assert "anna@example.org" in text
    for told in (PASSWORD, PASSWORD[:5], "Sieben", "anna", "example.org"):
        assert told.encode() not in composed.message
    assert composed.links == ()


def test_it_is_in_their_language_and_spelled_in_the_recipients() -> None:
    inner = decrypted(a_composer().compose(a_password_mail(language="de"), now=NOW).message)

    plain, html = inner.get_body(("plain",)), inner.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert "Bonjour," in plain.get_content()
    assert "1. 7K3QX-: sieben, Köln, drei, Quickborn, Xanten, Bindestrich" in plain.get_content()
    check_equal_in_content(plain.get_content(), html.get_content())


def test_the_subject_tells_nobody_whose_password_it_is() -> None:
    outer = email.message_from_bytes(
        a_composer().compose(a_password_mail(), now=NOW).message, policy=email.policy.SMTP
    )

    assert str(outer["Subject"]).startswith("Confidentiel : pour les agents")
    assert outer["To"] == "desk@hospital.org"
    assert outer.get_content_type() == "application/pkcs7-mime"


@pytest.mark.parametrize(
    ("mail", "code"),
    [
        (a_password_mail(address="anna@hospital.org"), "mail.shared_channel"),
        (a_password_mail(address="anna@ward.hospital.org"), "mail.shared_channel"),
        (a_password_mail(desk=Mailbox.parse("other@hospital.org")), "mail.not_wanted"),
        (replace(a_password_mail(), organization=an_organization()), "mail.not_wanted"),
        (replace(a_password_mail(), sealed_password=None), "mail.password_gone"),
    ],
)
def test_refuses_for_good_what_must_not_be_sent(mail: DueMail, code: str) -> None:
    with pytest.raises(MailRefused) as refused:
        a_composer().compose(mail, now=NOW)

    assert refused.value.code == code


@pytest.mark.parametrize("days", [-1, 366])
def test_refuses_a_certificate_outside_its_time(days: int) -> None:
    with pytest.raises(MailRefused) as refused:
        a_composer().compose(a_password_mail(), now=NOW + timedelta(days=days))

    assert refused.value.code == "mail.certificate_expired"


def test_refuses_a_certificate_that_nothing_can_be_encrypted_to() -> None:
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - what is refused
    certificate = a_bare_certificate(short).public_bytes(Encoding.DER)

    with pytest.raises(EnvelopeRefused):
        a_composer().compose(a_password_mail(certificate=certificate), now=NOW)


@given(st.lists(LABELS, max_size=3), st.booleans())
def test_no_mailbox_at_above_or_below_the_recipients_domain_gets_his_password(
    labels: list[str],
    above: bool,  # noqa: FBT001 - drawn
) -> None:
    inner, outer = ".".join([*labels, "hospital.org"]), "hospital.org"
    theirs, ours = (outer, inner) if above else (inner, outer)
    desk = Mailbox.parse(f"desk@{ours}")
    mail = replace(a_password_mail(address=f"anna@{theirs}", desk=desk), recipient=desk)

    with pytest.raises(MailRefused) as refused:
        a_composer().compose(mail, now=NOW)

    assert refused.value.code == "mail.shared_channel"
