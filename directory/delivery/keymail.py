"""What does the key mail say, and from whom to whom? The mail that brings a recipient the key package.

The composer is handed the finished key package and never sees a key or a password: what it does not have it
cannot send. Nor does it have a word from whoever asked for the certificate.
"""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import NameOID

from directory.delivery.composing import Composed
from directory.delivery.mime import Attachment, Message
from directory.delivery.outbox import DueMail
from directory.delivery.stationery import LAST_RESORT, Stationery, display_name
from directory.delivery.text import one_line

MESSAGE = "key_package"

# .p12 stands on no block list we know of, unlike .cer, .crt and .der; Apple, Android, Windows and
# Thunderbird all take it for what it is. The name is the same for everybody.
FILE_NAME = "encryption-key.p12"
CONTENT_TYPE = "application/x-pkcs12"

_LONGEST_NAME = 200


class KeyMailComposer:
    """Writes key mails in the organization's name; `packed` makes the key package of a mail."""

    def __init__(self, packed: Callable[[DueMail], bytes], stationery: Stationery | None = None) -> None:
        self._packed = packed
        self._stationery = stationery or Stationery()

    def compose(self, mail: DueMail, *, now: datetime) -> Composed:
        """Return the message as it goes over the wire.

        The date is that of the first attempt, which may be long after the mint.
        """
        organization = mail.organization
        text = self._stationery.write(
            MESSAGE,
            organization=organization,
            language=LAST_RESORT,
            variables={
                "address": str(mail.mailbox),
                "file_name": FILE_NAME,
                "authority": _authority_name(mail.chain[-1]),
                "has_attachment": "yes",
                "by_telephone": "yes",
                "install_url": "",
                "install_until": "",
                "stop_url": "",
                "test_mail": "",
            },
        )
        message = Message(
            sender_name=display_name(organization),
            sender=organization.mail_from,
            recipient=mail.mailbox,
            subject=text.subject,
            date=now,
            message_id=mail.message_id,
            plain=text.plain,
            html=text.html,
            attachment=Attachment(content=self._packed(mail), content_type=CONTENT_TYPE, file_name=FILE_NAME),
        )
        return Composed(message=message.to_bytes())


@lru_cache(maxsize=64)
def _authority_name(root: bytes) -> str:
    """Return the name under which Windows asks whether the root is to be trusted."""
    subject = x509.load_der_x509_certificate(root).subject
    common_names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(common_names[0].value) if common_names else subject.rfc4514_string()
    return one_line(name, longest=_LONGEST_NAME)
