"""What do a request's controls change about it? Those this server knows, read (RFC 4511 section 4.1.11).

A control that is unknown, or does not belong to the operation, is ignored; where it is critical, the request
is refused instead. Unbind and abandon have no response, so there criticality means nothing, and nobody asks
here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from directory.ldap.ber import Reader
from directory.ldap.codes import MANAGE_DSA_IT, PAGED_RESULTS, ResultCode
from directory.ldap.errors import MalformedPdu, RequestRefused
from directory.ldap.requests import Control, Request, SearchRequest

SUPPORTED_CONTROLS: Final = (MANAGE_DSA_IT, PAGED_RESULTS)
"""What the root DSE lists. There are no referrals to manage, so that one is honoured by doing nothing
(RFC 3296 section 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageWanted:
    """So many entries of the answer, from where the cookie says (RFC 2696 section 2)."""

    size: int
    cookie: bytes


def read_controls(request: Request, controls: Iterable[Control]) -> PageWanted | None:
    """Return which page of its answer the request wants; None for the whole answer.

    Raises:
        RequestRefused: a critical control cannot be honoured (unavailableCriticalExtension), or a known one
            does not carry what it should (protocolError).
    """
    page: PageWanted | None = None
    for control in controls:
        if control.oid == PAGED_RESULTS and isinstance(request, SearchRequest):
            if page is not None:
                raise _unreadable("paged results are asked for twice")
            page = _read_page(control.value)
        elif control.critical and control.oid != MANAGE_DSA_IT:
            raise RequestRefused(
                code=ResultCode.UNAVAILABLE_CRITICAL_EXTENSION,
                reason="a critical control is not supported here",
            )
    return page


def _read_page(value: bytes | None) -> PageWanted:
    try:
        outermost = Reader(value or b"")
        members = outermost.constructed()
        size, cookie = members.integer(), members.octets()
        members.skip_rest()
        complete = outermost.at_end()
    except MalformedPdu as malformed:
        raise _unreadable("the paged results control is unreadable") from malformed
    if size < 0 or not complete:
        raise _unreadable("the paged results control is unreadable")
    return PageWanted(size=size, cookie=cookie)


def _unreadable(reason: str) -> RequestRefused:
    return RequestRefused(code=ResultCode.PROTOCOL_ERROR, reason=reason)
