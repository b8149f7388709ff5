"""Has the caller the answer already? Conditional requests (RFC 9110 section 13)."""

from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime

from fastapi import Request


def has_it_already(request: Request, etag: str, last_modified: datetime | None = None) -> bool:
    """Tell whether what the caller says he has is the current answer.

    An entity tag goes before a date (section 13.2.2), and is compared weakly (section 13.1.2).
    """
    if listed := request.headers.getlist("if-none-match"):
        entries = (entry.strip().removeprefix("W/") for entry in ",".join(listed).split(","))
        return any(entry in {etag, "*"} for entry in entries)
    since = request.headers.get("if-modified-since")
    return last_modified is not None and since is not None and _covers(since, last_modified)


def http_date(moment: datetime) -> str:
    """Write a moment in UTC as an HTTP-date (section 5.6.7)."""
    return format_datetime(moment, usegmt=True)


def _covers(since: str, last_modified: datetime) -> bool:
    try:
        return parsedate_to_datetime(since) >= last_modified
    except (ValueError, TypeError):  # not a date, or one without a time zone: as if it had not been sent
        return False
