"""How do the headers of an encrypted mail, its subject among them, stay with its reader? RFC 9788.

The encrypted part holds the whole message with its headers; what the mail shows on the way is a second set of
them, and the encrypted part says which that is, so that a reader can tell whether it was changed.
"""

import re

_CRLF = b"\r\n"
_FIELDS = re.compile(rb"\r\n(?![ \t])")
# RFC 9788 section 1.1.1: these belong to the part that they describe, and are not protected as headers.
_STRUCTURAL = re.compile(rb"(?i)(?:MIME-Version|Content-[a-z-]+):")
_CONTENT_TYPE = re.compile(rb"(?i)content-type:")


def payload_of(inner: bytes, outer: bytes) -> bytes:
    """Return the MIME entity to be encrypted: the message as its reader is to see it.

    `inner` is that message, `outer` the same one with the headers that everybody on the way may see.
    """
    head, empty, body = inner.partition(2 * _CRLF)
    fields = _FIELDS.split(head)
    own = [field for field in fields if not _STRUCTURAL.match(field)]
    # RFC 9788 section 2.2: what was outside, so that what was confidential is known.
    shown = [b"HP-Outer: " + field for field in _headers_of(outer)]
    content = [
        # RFC 9788 section 2.1.1.
        field + b'; hp="cipher"' if _CONTENT_TYPE.match(field) else field
        for field in fields
        if _STRUCTURAL.match(field) and not field.lower().startswith(b"mime-version:")
    ]
    return _CRLF.join((*own, *shown, *content)) + empty + body


def _headers_of(message: bytes) -> list[bytes]:
    head, _, _ = message.partition(2 * _CRLF)
    return [field for field in _FIELDS.split(head) if not _STRUCTURAL.match(field)]
