"""Checking a whole audit chain at once."""

from collections.abc import Iterable

from directory.audit import ChainedEvent, ChainHead
from directory.evidence.following import ChainCheck, link_of
from directory.evidence.statements import SignedHead
from directory.evidence.trust import TrustedKeys


def broken_links(items: Iterable[ChainedEvent | SignedHead], head: ChainHead) -> list[str]:
    """Follow one node's events to its head; return what is wrong with them. Signatures are not looked at."""
    check = ChainCheck(head.node, trusted=TrustedKeys(()))
    findings = [
        finding for item in items if isinstance(item, ChainedEvent) for finding in check.event(link_of(item))
    ]
    return [str(finding) for finding in (*findings, *check.stored_end(head))]
