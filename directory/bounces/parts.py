"""How is a mail from anywhere taken apart without harm? The parts of a report, found; nothing judged.

The standard library's parser reads nearly everything, but looks at each line once for every part that is
open around it. So a message of many lines or many parts is refused before it sees it.
"""

import re
from collections.abc import Iterator, Sequence
from email import message_from_bytes
from email.errors import MessageError
from email.message import Message

LARGEST_MESSAGE = 1024 * 1024
"""Octets. A notification returns headers, at most the mail with its key package: some kilobytes."""

_MOST_LINES = 30_000
_MOST_PARTS = 30
_OPENS_A_PART = re.compile(rb"boundary[*0-9\s]*=|^content-type\s*:\s*message/", re.IGNORECASE | re.MULTILINE)
_DEEPEST = 12

# What the library, or a header handed to it, may raise on input nobody foresaw. No refusal of the store or of
# the operating system is among them.
PARSER_FAULTS = (
    MessageError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RecursionError,
)

# RFC 6533 section 3: the same parts, for addresses beyond ASCII. The library knows only the first names.
_OLDER_NAMES = {
    "message/global-delivery-status": "message/delivery-status",
    "message/global-headers": "text/rfc822-headers",
    "message/global": "message/rfc822",
}


class Part(Message):
    """A message or a part of one; parts for internationalized mail go by the names of the older ones."""

    def get_content_type(self) -> str:
        """Return the media type, in lower case."""
        named = super().get_content_type()
        return _OLDER_NAMES.get(named, named)

    def text_of(self, name: str) -> str:
        """Return a header field on one line, or nothing; it may be in UTF-8 (RFC 6532)."""
        wanted = name.lower()
        raw = next((str(value) for key, value in self.raw_items() if key.lower() == wanted), "")
        return " ".join(raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace").split())


def read_message(message: bytes) -> Part | None:
    """Read a message; None if it is too large, too much divided or beyond the parser."""
    if len(message) > LARGEST_MESSAGE or _is_laborious(message):
        return None
    try:
        return message_from_bytes(message, Part)
    except PARSER_FAULTS:
        return None


def _is_laborious(message: bytes) -> bool:
    # The parser ends a line at a bare carriage return as well.
    if message.count(b"\n") + message.count(b"\r") > 2 * _MOST_LINES:
        return True
    return any(number >= _MOST_PARTS for number, _ in enumerate(_OPENS_A_PART.finditer(message), 1))


def children(part: Part) -> Sequence[Part]:
    """Return the parts directly within this one."""
    payload: object = part.get_payload()
    return [child for child in payload if isinstance(child, Part)] if isinstance(payload, list) else []


def parts_of_type(message: Part, media_type: str) -> Iterator[Part]:
    """Find the parts of a type, outermost first; what a returned message holds is not looked into."""
    level: Sequence[Part] = [message]
    for _ in range(_DEEPEST):
        yield from (part for part in level if part.get_content_type() == media_type)
        level = [
            child for part in level if part.get_content_maintype() == "multipart" for child in children(part)
        ]


def text_of_body(part: Part) -> bytes:
    """Return a leaf's content, its transfer encoding undone."""
    payload: object = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
