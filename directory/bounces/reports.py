"""What does a mail say that came to a return path? What it is, and what became of whose mail, as it claims.

Nothing is believed here, and nothing of ours is known: whether a report is genuine is decided in `judging`.
Whatever the octets, there is an answer; that something is unreadable is one too.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from enum import StrEnum

from flufl.bounce import all_failures

from directory.bounces.addresses import read_plain_address, read_typed_address
from directory.bounces.parts import PARSER_FAULTS, Part, children, parts_of_type, read_message, text_of_body
from directory.delivery.text import one_line

LONGEST_DIAGNOSTIC = 200
_LARGEST_IN_WORDS = 128 * 1024
_MOST_RECIPIENTS = 100
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,300}>")


class ReportKind(StrEnum):
    """What came in."""

    DELIVERY_STATUS = "delivery_status"  # RFC 3464, RFC 6533
    IN_WORDS = "in_words"  # a bounce in a shape of its sender's own
    COMPLAINT = "complaint"  # RFC 5965: somebody has called the mail spam
    RECEIPT = "receipt"  # RFC 8098: read, or deleted unread
    AUTOMATIC_REPLY = "automatic_reply"  # RFC 3834: out of office, challenge and response
    OTHER = "other"
    UNREADABLE = "unreadable"


class Fate(StrEnum):
    """What became of a mail for one recipient."""

    FAILED = "failed"  # the reporting server has given it up
    DELAYED = "delayed"  # it goes on trying
    DELIVERED = "delivered"  # or relayed to a server that reports no more, or expanded


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientStatus:
    """What became of the mail for one recipient, as claimed."""

    recipients: frozenset[str]
    """Keys of the mailbox it may mean, the one written to and the one it was forwarded to alike."""
    fate: Fate
    status: str = ""
    """The enhanced status code (RFC 3463), such as `5.1.1`."""
    diagnostic: str = ""
    """Foreign words on one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a mail claims."""

    kind: ReportKind
    statuses: tuple[RecipientStatus, ...] = ()
    envelope_id: str | None = None
    """RFC 3464 section 2.2.1."""
    returned_message_ids: frozenset[str] = frozenset()
    """Of the mail it is about, where that or its header was returned."""


def read_report(message: bytes) -> Report:
    """Say what a mail claims; every sequence of octets is answered."""
    read = read_message(message)
    if read is None:
        return Report(kind=ReportKind.UNREADABLE)
    try:
        return _report(read, size=len(message))
    except PARSER_FAULTS:
        return Report(kind=ReportKind.UNREADABLE)


def _report(message: Part, *, size: int) -> Report:
    if blocks := [
        block for part in parts_of_type(message, "message/delivery-status") for block in children(part)
    ]:
        return Report(
            kind=ReportKind.DELIVERY_STATUS,
            statuses=tuple(_statuses(blocks)),
            envelope_id=next(
                (text for block in blocks if (text := block.text_of("Original-Envelope-Id"))), None
            ),
            returned_message_ids=_returned(message),
        )
    if any(parts_of_type(message, "message/feedback-report")):
        return Report(kind=ReportKind.COMPLAINT, returned_message_ids=_returned(message))
    if any(parts_of_type(message, "message/disposition-notification")):
        return Report(kind=ReportKind.RECEIPT)
    returned = _returned(message)
    if statuses := _in_words(message, size=size):
        return Report(kind=ReportKind.IN_WORDS, statuses=statuses, returned_message_ids=returned)
    return Report(kind=ReportKind.AUTOMATIC_REPLY if _is_automatic(message) else ReportKind.OTHER)


def _statuses(blocks: list[Part]) -> Iterator[RecipientStatus]:
    # The first block is about the message (RFC 3464 section 2.1), where it was not left out.
    for block in blocks[: _MOST_RECIPIENTS + 1]:
        status = _STATUS.search(block.text_of("Status"))
        fate = _fate(block.text_of("Action").partition(" ")[0].partition(";")[0].lower(), status)
        if fate is None:
            continue
        named = (block.text_of(field) for field in ("Original-Recipient", "Final-Recipient"))
        yield RecipientStatus(
            recipients=frozenset[str]().union(*(read_typed_address(text) for text in named)),
            fate=fate,
            status=status[0] if status else "",
            diagnostic=one_line(block.text_of("Diagnostic-Code"), longest=LONGEST_DIAGNOSTIC),
        )


def _fate(action: str, status: re.Match[str] | None) -> Fate | None:
    """Read RFC 3464 section 2.3.3: the action decides, and a status that contradicts it takes it back."""
    digit = status[1] if status else None
    match action:
        case "failed":
            return None if digit == "2" else Fate.FAILED
        case "delayed":
            return None if digit == "2" else Fate.DELAYED
        case "delivered" | "relayed" | "expanded":
            return None if digit in {"4", "5"} else Fate.DELIVERED
        case "":
            return {"5": Fate.FAILED, "4": Fate.DELAYED, "2": Fate.DELIVERED, None: None}[digit]
        case _:
            return None


def _returned(message: Part) -> frozenset[str]:
    """Return the Message-IDs of what was returned."""
    whole = (child for part in parts_of_type(message, "message/rfc822") for child in children(part))
    headers = (
        HeaderParser(Part).parsestr(text_of_body(part).decode("utf-8", "replace"))
        for part in parts_of_type(message, "text/rfc822-headers")
    )
    fields = [part.text_of("Message-ID") for source in (whole, headers) for part in source]
    return frozenset(found[0] for field in fields if (found := _MESSAGE_ID.search(field)))


def _in_words(message: Part, *, size: int) -> tuple[RecipientStatus, ...]:
    """Ask the library that knows the shapes of servers without RFC 3464."""
    if size > _LARGEST_IN_WORDS:
        return ()
    # It looks into everything; what was returned or forwarded may be a bounce itself, of another mail.
    for part in parts_of_type(message, "message/rfc822"):
        part.set_payload([])
    temporary, permanent = all_failures(message)
    claims = [(address, Fate.DELAYED) for address in temporary] + [
        (address, Fate.FAILED) for address in permanent
    ]
    return tuple(
        RecipientStatus(recipients=read_plain_address(address.decode("ascii", "replace")), fate=fate)
        for address, fate in sorted(claims)[:_MOST_RECIPIENTS]
    )


def _is_automatic(message: Part) -> bool:
    submitted = message.text_of("Auto-Submitted").partition(";")[0].strip().lower()
    precedence = message.text_of("Precedence").lower()
    marks = ("X-Autoreply", "X-Autorespond", "X-Auto-Response-Suppress", "X-Challenge-Response")
    return (
        submitted not in {"", "no"}
        or precedence in {"auto_reply", "bulk", "junk", "list"}
        or any(message.text_of(mark) for mark in marks)
    )
