"""How long does an auditor wait? A million events, with a signed head after every thousand, from a file."""

import hashlib
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.figures import Bound, Result, Target
from bench.options import Options
from bench.premises import require
from directory.audit import AuditEvent, AuditKind, ChainHead, chain
from directory.evidence.checking import EvidenceCheck, lines_of
from directory.evidence.lines import ExportStart, event_line, line_of
from directory.evidence.statements import AuditSigner
from directory.evidence.trust import TrustedKeys

_EVENTS = 1_000_000
_EVENTS_PER_HEAD = 1000
_WANTED_SECONDS = 60.0
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def run(options: Options) -> Result:
    """Write an export, then check it as `pushpki audit verify --file` does."""
    events = options.certificates or _EVENTS
    signer = AuditSigner.generate()
    with tempfile.TemporaryDirectory(prefix="pushpki-bench-") as folder:
        path = Path(folder) / "audit.jsonl"
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for line in _lines(events, signer):
                digest.update(line)
                file.write(line)
            file.write(line_of(signer.end(digest.digest(), _BEGAN)).encode())
        octets = path.stat().st_size
        began = time.perf_counter()
        check = EvidenceCheck(TrustedKeys([signer.public_key]))
        found = 0
        with path.open("rb") as file:
            for line in lines_of(file):
                found += len(check.line(line))
        found += len(check.end())
        seconds = time.perf_counter() - began
    require(found == 0, "an untouched log is whole")
    require(check.events == events, "every event was read")
    per_million = seconds * 1_000_000 / events
    return Result(
        title="Checking an exported audit log",
        rows=[
            {
                "events": events,
                "signed heads": check.heads,
                "MiB": octets / 2**20,
                "seconds": seconds,
                "events/s": events / seconds,
            }
        ],
        targets=[
            Target(
                name="seconds for a million events",
                measured=per_million,
                bound=Bound.AT_MOST,
                wanted=_WANTED_SECONDS,
            )
        ],
    )


def _lines(events: int, signer: AuditSigner) -> Iterator[bytes]:
    yield line_of(ExportStart(at=_BEGAN, node=None, since=0)).encode()
    yield line_of(signer.beginning(_BEGAN)).encode()
    head = ChainHead(node="node-1")
    for number in range(1, events + 1):
        chained = chain(head, _minted(number))
        head = ChainHead(node="node-1", sequence=number, hash=chained.hash)
        yield event_line(chained).encode()
        if number % _EVENTS_PER_HEAD == 0 or number == events:
            yield line_of(signer.head(head, _BEGAN)).encode()


def _minted(number: int) -> AuditEvent:
    return AuditEvent(
        kind=AuditKind.CERTIFICATE_MINTED,
        at=_BEGAN + timedelta(seconds=number),
        actor="gateway:mail-1",
        subject=f"{number:032x}",
        organization_id="0" * 32,
        detail={
            "serial": f"{number:040x}",
            "not_after": "2028-01-01T00:00:00+00:00",
            "asked_as": "gateway:mail-1",
        },
    )
