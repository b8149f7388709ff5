"""What do the lines of an export tell? The events themselves, once it is known that the export is whole."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime

from directory.audit import AuditEvent, AuditKind
from directory.evidence.lines import event_text


def told_in(lines: Iterable[bytes]) -> Iterator[AuditEvent]:
    """Yield the events of an export that was found whole, but for kinds that this version does not know."""
    known = {kind.value for kind in AuditKind}
    for line in lines:
        text = event_text(line)
        if text is None:
            continue
        told = json.loads(text)
        if told["kind"] in known:
            yield AuditEvent(
                kind=AuditKind(told["kind"]),
                at=datetime.fromisoformat(told["at"]),
                actor=told["actor"],
                subject=told["subject"],
                organization_id=told["organization"],
                detail=told["detail"],
            )
