"""How is a message written down: RFC 5322 headers, MIME parts, lines of CRLF, seven bits?

Written by hand rather than with `email.message`, which takes as long for a mail as the arithmetic of its key
package does; the tests read everything back with `email`. What comes out is the same for the same input: the
parts are encoded as quoted-printable or base64, in which `=_` cannot occur, so the boundaries may be fixed
(RFC 2045 section 6.7).
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.header import Header
from email.utils import format_datetime
from functools import lru_cache
from typing import TypeAlias

from ca.address import Mailbox

_CRLF = b"\r\n"
_LONGEST_PLAIN = 60
_LONGEST_ENCODED = 75
"""RFC 2047 section 2: an encoded-word has at most 75 characters."""

# What needs neither quoting nor encoding, and cannot be taken for an encoded-word or an address.
_PLAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9 .,&'()/+-]*[A-Za-z0-9.)])?)?")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")
_URL = re.compile(r"https?://[A-Za-z0-9.:/\[\]_~-]{1,900}")
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,128}@[A-Za-z0-9.-]{1,255}>")

MIXED_BOUNDARY = b"=_mixed"
ALTERNATIVE_BOUNDARY = b"=_alternative"
RELATED_BOUNDARY = b"=_related"

Protection: TypeAlias = Callable[[bytes], bytes]
"""Turns one MIME entity, its content headers and its body, into another, such as an encrypted one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that goes with a mail."""

    content: bytes = field(repr=False)
    content_type: str
    file_name: str
    """A constant of ours: letters, digits, hyphens and dots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that the HTML shows, and brings with it: nothing is fetched (RFC 2387, RFC 2392)."""

    content: bytes = field(repr=False)
    content_type: str
    file_name: str
    content_id: str
    """Without the angle brackets, as after `cid:`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A mail from one mailbox to one mailbox: text, the same text as HTML, perhaps a picture and a file."""

    sender_name: str
    sender: Mailbox
    recipient: Mailbox
    subject: str
    date: datetime
    message_id: str
    language: str
    plain: str
    html: str
    picture: Picture | None = None
    attachment: Attachment | None = None
    unsubscribe: str = ""
    """Where the recipient says that he wants no such mail (RFC 2369 section 3.2). Programs that follow links
    by themselves must do no harm there, so one click is not promised (RFC 8058)."""

    def to_bytes(self, protect: Protection | None = None) -> bytes:
        """Write the message for transport: ASCII, every line ended by CRLF and far below 998 octets.

        The one exception is an address beyond ASCII, which nothing but UTF-8 can write (RFC 6532 section 3).

        What is to be protected is the whole content; the headers of the message stay as they are.

        Raises:
            ValueError: the Message-ID is not one (RFC 5322 section 3.6.4), or the language or URL is not.
        """
        _require(_MESSAGE_ID, self.message_id, "a Message-ID")
        _require(_LANGUAGE, self.language, "a language tag")
        headers = [
            b"From: %s" % _named_mailbox(self.sender_name, self.sender),
            b"To: %s" % str(self.recipient).encode(),
            b"Subject: %s" % _unstructured(self.subject),
            b"Date: %s" % format_datetime(self.date).encode("ascii"),
            b"Message-ID: %s" % self.message_id.encode("ascii"),
            # RFC 3834 section 5: nobody's out-of-office reply is wanted.
            b"Auto-Submitted: auto-generated",
        ]
        if self.unsubscribe:
            _require(_URL, self.unsubscribe, "a URL")
            headers.append(b"List-Unsubscribe: <%s>" % self.unsubscribe.encode("ascii"))
        headers.append(b"MIME-Version: 1.0")
        entity = self._entity()
        return _CRLF.join((*headers, entity if protect is None else protect(entity)))

    def _entity(self) -> bytes:
        """Write the content: its headers, an empty line, its body."""
        html = _text(b"html", self.html)
        if self.picture is not None:
            kind = b'related; type="text/html"'
            html = _multipart(kind, RELATED_BOUNDARY, html, _picture(self.picture))
        entity = _multipart(b"alternative", ALTERNATIVE_BOUNDARY, _text(b"plain", self.plain), html)
        if self.attachment is not None:
            entity = _multipart(b"mixed", MIXED_BOUNDARY, entity, _attachment(self.attachment))
        return b"Content-Language: %s\r\n%s" % (self.language.encode("ascii"), entity)


def _require(pattern: re.Pattern[str], text: str, what: str) -> None:
    if pattern.fullmatch(text) is None:
        raise ValueError(f"not {what}")


def _named_mailbox(name: str, mailbox: Mailbox) -> bytes:
    """Write `"Name" <address>` (RFC 5322 section 3.4), on two lines where one would be long."""
    phrase, address = _phrase(name), str(mailbox).encode("ascii")
    fold = b"" if len(phrase) + len(address) <= _LONGEST_PLAIN else _CRLF
    return b"%s%s <%s>" % (phrase, fold, address)


def _phrase(text: str) -> bytes:
    """Write a display name (RFC 5322 section 3.2.5): quoted if it is short and harmless, else encoded."""
    return b'"%s"' % text.encode("ascii") if _is_plain(text) else _encoded_words(text)


def _unstructured(text: str) -> bytes:
    """Write free text (RFC 5322 section 3.2.5): as it is if it is short and harmless, else encoded."""
    return text.encode("ascii") if _is_plain(text) else _encoded_words(text)


def _is_plain(text: str) -> bool:
    return len(text) <= _LONGEST_PLAIN and _PLAIN.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _encoded_words(text: str) -> bytes:
    """Write text as encoded-words (RFC 2047), folded between them; fit for a phrase as for free text."""
    words = Header(text, "utf-8", maxlinelen=_LONGEST_ENCODED, header_name="Subject")
    return words.encode(linesep="\r\n").encode("ascii")


def _multipart(subtype: bytes, boundary: bytes, *parts: bytes) -> bytes:
    head = b'Content-Type: multipart/%s;\r\n boundary="%s"' % (subtype, boundary)
    delimiter = b"--" + boundary
    lines = [head, b""]
    for part in parts:
        lines += [delimiter, part]
    return _CRLF.join([*lines, delimiter + b"--", b""])


def _text(subtype: bytes, text: str) -> bytes:
    # b2a_qp ends the lines it breaks as the first line ends that it meets, so there must be one.
    octets = "".join(f"{line}\r\n" for line in text.splitlines() or [""]).encode()
    return _CRLF.join(
        (
            b"Content-Type: text/%s; charset=utf-8" % subtype,
            b"Content-Transfer-Encoding: quoted-printable",
            b"",
            binascii.b2a_qp(octets, istext=True),
        )
    )


def _attachment(attachment: Attachment) -> bytes:
    name, content_type = attachment.file_name.encode("ascii"), attachment.content_type.encode("ascii")
    return _CRLF.join(
        (
            b'Content-Type: %s; name="%s"' % (content_type, name),
            b'Content-Disposition: attachment; filename="%s"' % name,
            b"Content-Transfer-Encoding: base64",
            b"",
            _base64(attachment.content),
        )
    )


@lru_cache(maxsize=64)
def _picture(picture: Picture) -> bytes:
    name, content_type = picture.file_name.encode("ascii"), picture.content_type.encode("ascii")
    return _CRLF.join(
        (
            b'Content-Type: %s; name="%s"' % (content_type, name),
            b'Content-Disposition: inline; filename="%s"' % name,
            b"Content-ID: <%s>" % picture.content_id.encode("ascii"),
            b"Content-Transfer-Encoding: base64",
            b"",
            _base64(picture.content),
        )
    )


def _base64(content: bytes) -> bytes:
    return base64.encodebytes(content).rstrip(b"\n").replace(b"\n", _CRLF)
