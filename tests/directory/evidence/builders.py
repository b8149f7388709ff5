"""An audit log and whoever signs it: as the service makes them, in memory and in a database."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from directory.audit import AuditEvent, AuditKind, ChainedEvent, ChainHead, chain
from directory.clock import Clock
from directory.evidence.checking import EvidenceCheck, KeptHeads
from directory.evidence.following import Finding
from directory.evidence.keys import AuditKeys
from directory.evidence.lines import ExportStart, event_line, line_of
from directory.evidence.notary import Notary
from directory.evidence.statements import AuditSigner, KeyStatement, SignedHead
from directory.evidence.trust import TrustedKeys
from directory.store.database import Database
from directory.store.evidence import SqlEvidence

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def an_event(number: int, **deviation: object) -> AuditEvent:
    values: dict[str, object] = {
        "kind": AuditKind.CERTIFICATE_MINTED,
        "at": NOW + timedelta(seconds=number),
        "actor": "gateway:gw",
        "subject": f"enrolment-{number}",
        "organization_id": "org-1",
        "detail": {"serial": f"{number:x}", "asked_as": "gateway:gw"},
    }
    return AuditEvent(**(values | deviation))  # type: ignore[arg-type] # the values fit the fields they name


def head_of(chained: ChainedEvent) -> ChainHead:
    return ChainHead(node=chained.node, sequence=chained.sequence, hash=chained.hash)


def continued(head: ChainHead, events: Iterable[AuditEvent]) -> list[ChainedEvent]:
    """Put events behind a head."""
    chained = []
    for event in events:
        chained.append(chain(head, event))
        head = head_of(chained[-1])
    return chained


def a_chain(node: str = "node-1", *, length: int = 20, start: int = 0) -> list[ChainedEvent]:
    return continued(ChainHead(node=node), (an_event(start + number) for number in range(length)))


@dataclass
class Deposit:
    """Where signed heads go."""

    heads: list[SignedHead] = field(default_factory=list)
    statements: Sequence[KeyStatement] = ()

    async def __call__(self, statements: Sequence[KeyStatement], head: SignedHead) -> None:
        self.statements = statements
        self.heads.append(head)

    def lines(self) -> list[bytes]:
        keys = [line_of(statement) for statement in self.statements]
        return [line.encode() for line in (*keys, *map(line_of, self.heads))]


def a_notary(
    database: Database,
    keys: AuditKeys,
    clock: Clock,
    *,
    node: str = "node-1",
    deposit: Deposit | None = None,
) -> Notary:
    return Notary(
        node=node, store=SqlEvidence(database), keys=keys, deposit=deposit or Deposit(), clock=clock
    )


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export says, before it is written: to be changed at will."""

    statements: Sequence[KeyStatement]
    items: Sequence[ChainedEvent | SignedHead]

    def lines(self, *, since: int = 0) -> list[bytes]:
        start = ExportStart(at=NOW, node=None, since=since)
        written = [line_of(start), *(line_of(statement) for statement in self.statements)]
        written += [
            event_line(item) if isinstance(item, ChainedEvent) else line_of(item) for item in self.items
        ]
        return [line.encode() for line in written]


def an_export(signer: AuditSigner, *chains: Sequence[ChainedEvent], every: int = 5) -> Exported:
    """Return chains with a signed head after every so many events, and after the last."""
    items: list[ChainedEvent | SignedHead] = []
    for events in chains:
        for number, event in enumerate(events, start=1):
            items.append(event)
            if number % every == 0 or number == len(events):
                items.append(signer.head(head_of(event), NOW))
    return Exported(statements=[signer.beginning(NOW)], items=items)


def ended(lines: Sequence[bytes], signer: AuditSigner) -> list[bytes]:
    """Return the lines with the signature over all of them."""
    return [*lines, line_of(signer.end(hashlib.sha256(b"".join(lines)).digest(), NOW)).encode()]


def checked(lines: Iterable[bytes], *given: bytes, kept: Iterable[bytes] = ()) -> list[Finding]:
    """Return what is found in an export, with these public keys and heads that are kept elsewhere."""
    trusted = TrustedKeys(given)
    heads = KeptHeads(trusted)
    findings = list(heads.read(kept))
    check = EvidenceCheck(trusted, kept=heads)
    for line in lines:
        findings += check.line(line)
    return findings + check.end()
