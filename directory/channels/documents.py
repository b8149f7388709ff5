"""What does a webhook call say? One JSON document per event, of at most 16 KiB.

Every attempt of a delivery says the same, octet for octet.
"""

import json
from datetime import UTC, datetime

from ca.passwords import Password
from directory.channels.jobs import WebhookEvent, WebhookJob
from directory.spelling import spell

LARGEST_DOCUMENT = 16 * 1024
"""In octets."""


def document(job: WebhookJob, password: Password | None) -> bytes:
    """Write the body of a call; the password of a `password.ready`, and of nothing else, is in it.

    Raises:
        ValueError: a password is missing, or was given for an event that has none.
    """
    if (password is not None) != (job.event is WebhookEvent.PASSWORD_READY):
        raise ValueError("a password belongs to password.ready, and to nothing else")
    content: dict[str, object] = {
        "event": job.event.value,
        "delivery_id": job.delivery_id,
        "organization": job.organization.slug,
        "enrolment_id": job.enrolment_id,
        "address": str(job.mailbox),
        "language": job.language,
        "expires_at": _rfc3339(job.expires_at),
    }
    if password is not None:
        content |= _spoken(password, job.language)
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    if len(body) > LARGEST_DOCUMENT:
        raise ValueError("a webhook document outgrew its limit")
    return body


def _spoken(password: Password, language: str) -> dict[str, object]:
    spelling = spell(password, language)
    return {
        "password": password.reveal(),
        "letters": spelling.letters.value,
        "spelling": [
            [{"symbol": spelled.symbol, "word": spelled.word} for spelled in group]
            for group in spelling.groups
        ],
    }


def _rfc3339(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
