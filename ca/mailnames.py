"""How does a certificate name a mailbox, and which mailboxes does one name?

An ASCII local part is in an rfc822Name (RFC 5280 section 4.2.1.6), any other in an SmtpUTF8Mailbox, an
otherName (RFC 9598 section 3). Each address has one of the two forms and never the other, so the two kinds
never match. The one place that reads the second: whoever takes the octets of an otherName for what they are
not reads memory, or another's name (CVE-2024-6119).
"""

import codecs
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat import asn1

from ca.address import AddressRefusal, Mailbox
from ca.errors import AddressRefused, MailNameMalformed

SMTP_UTF8_MAILBOX = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9")
"""id-on-SmtpUTF8Mailbox (RFC 9598 appendix A)."""

MailName: TypeAlias = x509.RFC822Name | x509.OtherName


def mail_name(mailbox: Mailbox) -> MailName:
    """Return the alternative name of a mailbox."""
    if mailbox.is_international:
        return x509.OtherName(SMTP_UTF8_MAILBOX, asn1.encode_der(str(mailbox)))
    return x509.RFC822Name(str(mailbox))


def mail_names(names: x509.SubjectAlternativeName) -> list[MailName]:
    """Return those of a certificate's names that stand for mailboxes, whatever is in them."""
    return [
        one
        for one in names
        if isinstance(one, x509.RFC822Name)
        or (isinstance(one, x509.OtherName) and one.type_id == SMTP_UTF8_MAILBOX)
    ]


def mailbox_of(name: MailName) -> Mailbox:
    """Read the mailbox that a name stands for.

    Raises:
        MailNameMalformed: an SmtpUTF8Mailbox is not one UTF8String in DER, or begins with a byte order mark.
        AddressRefused: the address is not acceptable; or not one for this form, or not in the only spelling
            that this form has.
    """
    if isinstance(name, x509.RFC822Name):
        return Mailbox.parse(name.value)
    text = _text_of(name)
    mailbox = Mailbox.parse_international(text)
    if not mailbox.is_international:
        raise AddressRefused(
            code=AddressRefusal.SYNTAX.value, reason="an ASCII local part belongs into an rfc822Name"
        )
    # The domain is in A-labels and lower case, so that it is compared octet by octet (RFC 9598 section 5).
    if str(mailbox) != text:
        raise AddressRefused(
            code=AddressRefusal.DOMAIN.value, reason="the domain is not in lower-case A-labels"
        )
    return mailbox


def mailboxes_of(names: x509.SubjectAlternativeName) -> list[Mailbox]:
    """Read all mailboxes of a certificate's names, as `mailbox_of`.

    Raises:
        AddressRefused: one of them is not acceptable.
    """
    return [mailbox_of(one) for one in mail_names(names)]


def _text_of(name: x509.OtherName) -> str:
    text = _decoded(name.value)
    if text is None or text.startswith(codecs.BOM_UTF8.decode()):
        raise MailNameMalformed(
            code=AddressRefusal.SYNTAX.value, reason="an SmtpUTF8Mailbox is a UTF8String without a mark"
        )
    return text


def _decoded(der: bytes) -> str | None:
    try:
        return asn1.decode_der(str, der)
    except ValueError:
        return None
