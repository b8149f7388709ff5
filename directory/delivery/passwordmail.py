"""How does a password go to the organization by mail? Encrypted to a certificate of its own.

Nothing outside the encrypted part tells the password or whose it is. And whatever was configured or queued:
no such mail is written to a mailbox that whoever reads the recipient's mail may read as well.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography import x509

from ca.passwords import Password
from ca.sealing import Sealer
from directory.delivery.composing import Composed
from directory.delivery.enveloping import enveloped_for
from directory.delivery.letters import letter
from directory.delivery.outbox import DueMail
from directory.delivery.stationery import Stationery
from directory.enrolmentsecrets import relay_password_identity
from directory.errors import MailRefused
from directory.separation import shares_channel
from directory.spelling import LetterCase, read_aloud, spell

MESSAGE = "password"


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordMailComposer:
    """Writes the mails that bring an organization its recipients' passwords."""

    opened: Callable[[DueMail], Password]
    """Unseals the password of a mail; asked only when all else is well."""
    stationery: Stationery

    def compose(self, mail: DueMail, *, now: datetime) -> Composed:
        """Return the mail, its content encrypted.

        It is in the organization's language; the password is spelled in the recipient's, who hears it.

        Raises:
            MailRefused: the organization has its passwords sent elsewhere now or nowhere, the mailbox is on
                the recipient's own channel, or the certificate has expired.
            EnvelopeRefused: nothing can be encrypted to the certificate.
        """
        protect = enveloped_for(_certificate_for(mail, now))
        password = self.opened(mail)
        spelling = spell(password, mail.language)
        variables = {
            "address": str(mail.mailbox),
            "password": password.reveal(),
            "spelling": "\n".join(read_aloud(spelling)),
            "capitals": "yes" if spelling.letters is LetterCase.CAPITALS else "",
            "enrolment_id": mail.enrolment_id,
        }
        in_their_language = replace(mail, language=mail.organization.correspondence.language)
        message = letter(self.stationery, in_their_language, MESSAGE, variables=variables, now=now)
        return Composed(message=message.to_bytes(protect))


def unsealed_password(mail: DueMail, sealer: Sealer) -> Password:
    """Return the password of the enrolment that a mail is about.

    Raises:
        MailRefused: it has been destroyed.
        SealBroken: it does not open.
    """
    if mail.sealed_password is None:
        raise MailRefused(code="mail.password_gone", reason="the password has been destroyed")
    identity = relay_password_identity(mail.enrolment_id, mail.organization.organization_id)
    return Password(sealer.unseal(mail.sealed_password, identity).decode())


def _certificate_for(mail: DueMail, now: datetime) -> x509.Certificate:
    wanted = mail.organization.correspondence.password_mail
    if wanted is None or wanted.mailbox.key != mail.recipient.key:
        raise MailRefused(code="mail.not_wanted", reason="the organization has no passwords sent there now")
    if shares_channel(mail.mailbox, mail.recipient.domain):
        raise MailRefused(
            code="mail.shared_channel", reason="the password would go where the recipient's mail is read"
        )
    certificate = x509.load_der_x509_certificate(wanted.certificate)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise MailRefused(
            code="mail.certificate_expired", reason="the certificate for the organization's passwords expired"
        )
    return certificate
