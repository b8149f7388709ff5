"""Checking a whole audit chain at once."""

from collections.abc import Iterable

from directory.audit import ChainCheck, ChainedEvent, ChainHead


def broken_links(events: Iterable[ChainedEvent], head: ChainHead) -> list[str]:
    """Follow one node's chain to its head; return what is wrong with it."""
    check = ChainCheck(head.node)
    problems = [problem for chained in events for problem in check.follow(chained)]
    return problems + check.end(head)
