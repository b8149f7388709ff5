"""Was this button pressed on our page? A form holds the link's token once more, in its body.

Whoever only follows addresses, as scanners of links do, sends no body; whoever makes somebody's browser send
one from another site does not know the token.
"""

import hmac
from urllib.parse import parse_qsl

from fastapi import Request

_CONTENT_TYPE = "application/x-www-form-urlencoded"
_MOST_FIELDS = 8


async def was_pressed(request: Request, token: str) -> bool:
    """Whether the body is that of our form on the page with this token."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != _CONTENT_TYPE:
        return False
    try:
        fields = parse_qsl((await request.body()).decode("ascii"), max_num_fields=_MOST_FIELDS)
    except ValueError:
        return False
    tokens = [value for name, value in fields if name == "token"]
    return len(tokens) == 1 and hmac.compare_digest(tokens[0].encode(), token.encode())
