"""How do several certificates travel in one answer? As multipart/mixed, RFC 4387 section 2."""

import hashlib
from collections.abc import Sequence


def multipart_mixed(parts: Sequence[bytes], part_type: str) -> tuple[bytes, str]:
    """Return body and media type of RFC 2046 section 5.1, each part verbatim.

    The same parts give the same octets, so that a client can tell whether it has them already.
    """
    boundary = _boundary(parts)
    opening = f"--{boundary}\r\nContent-Type: {part_type}\r\n\r\n".encode()
    body = b"".join(opening + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
    return body, f"multipart/mixed; boundary={boundary}"


def _boundary(parts: Sequence[bytes]) -> str:
    """Return a line that occurs in no part."""
    seed = b"".join(parts)
    while True:
        boundary = hashlib.sha256(seed).hexdigest()
        if not any(boundary.encode() in part for part in parts):
            return boundary
        seed = boundary.encode() + seed
