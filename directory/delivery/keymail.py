"""What does the key mail say, and from whom to whom? The mail that brings a recipient the key package.

The composer is handed the finished key package and never sees a key or a password: what it does not have it
cannot send. Nor does it have a word from whoever asked for the certificate.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from importlib.resources.abc import Traversable

from cryptography import x509
from cryptography.x509.oid import NameOID

from directory.delivery.composing import Composed
from directory.delivery.mime import Attachment, Message
from directory.delivery.outbox import DueMail
from directory.delivery.templates import SHIPPED, MessageTemplates
from directory.delivery.text import one_line
from directory.organization import Organization

MESSAGE = "key_package"

# .p12 stands on no block list we know of, unlike .cer, .crt and .der; Apple, Android, Windows and
# Thunderbird all take it for what it is. The name is the same for everybody.
FILE_NAME = "encryption-key.p12"
CONTENT_TYPE = "application/x-pkcs12"

_LONGEST_NAME = 200
_LONGEST_CONTACT = 500


class KeyMailComposer:
    """Writes key mails in the organization's name; `packed` makes the key package of a mail."""

    def __init__(
        self, packed: Callable[[DueMail], bytes], *, folders: Sequence[Traversable] = (SHIPPED,)
    ) -> None:
        self._packed = packed
        self._templates = MessageTemplates(MESSAGE, folders)

    def compose(self, mail: DueMail, *, now: datetime) -> Composed:
        """Return the message as it goes over the wire.

        The date is that of the first attempt, which may be long after the mint.
        """
        organization = mail.organization
        text = self._templates.render(
            {
                "organization": display_name(organization),
                "contact": one_line(organization.contact, longest=_LONGEST_CONTACT),
                "address": str(mail.mailbox),
                "file_name": FILE_NAME,
                "authority": _authority_name(mail.chain[-1]),
            }
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


def display_name(organization: Organization) -> str:
    """Return the organization's name as recipients see it; its domain if nothing visible is left of it."""
    return one_line(organization.name, longest=_LONGEST_NAME) or organization.mail_from.display_domain


@lru_cache(maxsize=64)
def _authority_name(root: bytes) -> str:
    """Return the name under which Windows asks whether the root is to be trusted."""
    subject = x509.load_der_x509_certificate(root).subject
    common_names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(common_names[0].value) if common_names else subject.rfc4514_string()
    return one_line(name, longest=_LONGEST_NAME)
