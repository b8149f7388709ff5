"""What does the key mail say, and from whom to whom? The mail that brings a recipient the key package.

The composer is handed the finished key package and never sees a key or a password: what it does not have it
cannot send. Nor does it have a word from whoever asked for the certificate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from ca.escrow import may_sign
from directory.delivery.composing import Composed
from directory.delivery.letters import letter
from directory.delivery.mime import Attachment
from directory.delivery.outbox import DueMail
from directory.delivery.stationery import Stationery
from directory.delivery.text import one_line
from directory.links import LinkPurpose, NewLink, issue_link
from directory.organization import KeyDelivery, KeyFate, Organization
from directory.pages import Pages

MESSAGE = "key_package"

# .p12 stands on no block list we know of, unlike .cer, .crt and .der; Apple, Android, Windows and
# Thunderbird all take it for what it is. The name is the same for everybody.
FILE_NAME = "encryption-key.p12"
CONTENT_TYPE = "application/x-pkcs12"

OPT_OUT_LIFETIME = timedelta(days=3653)
"""How long a recipient may refuse further mail with the link of this one: as long as anybody keeps a mail."""

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMailComposer:
    """Writes key mails in the organization's name."""

    packed: Callable[[DueMail], bytes]
    """Makes the key package of a mail; asked only where it is attached."""
    stationery: Stationery
    pages: Pages | None
    """Where recipients are sent; None: mails have no links, and key packages are attached."""
    hold: timedelta
    """How long the key is held after acceptance. If it is not, no page can give it out: it is attached."""

    def compose(self, mail: DueMail, *, now: datetime) -> Composed:
        """Return the message as it goes over the wire, and the links in it.

        The date is that of the first attempt, which may be long after the mint.
        """
        delivery = self._delivery(mail.organization)
        links = _Links(self.pages)
        install_url = ""
        if delivery is not KeyDelivery.ATTACHMENT:
            # Held for that long after the acceptance, which may come as late as this.
            install_url = links.add(LinkPurpose.INSTALL, mail.give_up_at + self.hold)
        stop_url = links.add(LinkPurpose.STOP, now + OPT_OUT_LIFETIME)
        attachment = None if delivery is KeyDelivery.LINK else self._attachment(mail)
        variables = {
            "address": str(mail.mailbox),
            "renews_until": f"{mail.renews_until:%Y-%m-%d}" if mail.renews_until else "",
            "file_name": FILE_NAME,
            "has_attachment": "yes" if attachment else "",
            "test_mail": "yes" if self.pages and _can_be_written_to(mail.certificate) else "",
            "install_url": install_url,
            "install_until": f"{now + self.hold:%Y-%m-%d}" if install_url else "",
            "stop_url": stop_url,
            **words_of_fate(
                mail.key_fate, signs=may_sign(x509.load_der_x509_certificate(mail.certificate).extensions)
            ),
            **words_of_choice(mail.organization, mail.chain[-1]),
        }
        message = letter(self.stationery, mail, MESSAGE, variables=variables, now=now)
        message = replace(message, attachment=attachment, unsubscribe=stop_url)
        return Composed(message=message.to_bytes(), links=tuple(links.issued))

    def _delivery(self, organization: Organization) -> KeyDelivery:
        if self.pages is None or self.hold <= timedelta(0):
            return KeyDelivery.ATTACHMENT
        return organization.correspondence.key_delivery

    def _attachment(self, mail: DueMail) -> Attachment:
        return Attachment(content=self.packed(mail), content_type=CONTENT_TYPE, file_name=FILE_NAME)


class _Links:
    """The links of one mail; without pages there are none."""

    def __init__(self, pages: Pages | None) -> None:
        self._pages = pages
        self.issued: list[NewLink] = []

    def add(self, purpose: LinkPurpose, expires_at: datetime) -> str:
        """Issue a link and return its URL; empty where there are no pages."""
        if self._pages is None:
            return ""
        token, link = issue_link(purpose, expires_at)
        self.issued.append(link)
        return self._pages.install(token) if purpose is LinkPurpose.INSTALL else self._pages.stop(token)


def words_of_choice(organization: Organization, root: bytes) -> Mapping[str, str]:
    """Return the variables that hang on nothing but what the organization has chosen."""
    letters = organization.correspondence
    return {
        # Programs ask about the root, or can be told to trust it, if the key package holds it.
        "authority": _authority_name(root) if letters.package_chain else "",
        # A webhook hands the password to a machine, and we do not know how it passes it on.
        "by_telephone": "" if letters.webhook else "yes",
    }


def words_of_fate(fate: KeyFate, *, signs: bool) -> Mapping[str, str]:
    """Return the variables for what becomes of the service's copy of the key (CA/B S/MIME BR 4.12.1)."""
    is_kept = fate is KeyFate.ESCROW
    return {"key_kept": "yes" if is_kept else "", "key_signs": "yes" if is_kept and signs else ""}


def _can_be_written_to(certificate: bytes) -> bool:
    """Tell whether the mail that asks for a proof can be encrypted to this certificate."""
    return isinstance(x509.load_der_x509_certificate(certificate).public_key(), rsa.RSAPublicKey)


@lru_cache(maxsize=64)
def _authority_name(root: bytes) -> str:
    """Return the name under which Windows asks whether the root is to be trusted."""
    subject = x509.load_der_x509_certificate(root).subject
    common_names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(common_names[0].value) if common_names else subject.rfc4514_string()
    return one_line(name, longest=_LONGEST_NAME)
