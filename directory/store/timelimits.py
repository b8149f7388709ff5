"""How long may the database take? No lookup waits for it longer than its asker waits for an answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    """How long is waited for what, in seconds, before the database counts as unavailable.

    A lookup must be answered within two seconds; whoever waits longer has no asker any more.
    """

    connect: float = 1.5
    """For a server to take a connection."""
    turn: float = 1.5
    """For a connection of the pool to come free."""
    lock: float = 1.5
    """For a lock that another transaction holds."""
    work: float = 1.8
    """For a statement; on SQLite for whatever is done on another thread."""
    silence: float = 2.5
    """For a server that answers nothing at all."""
    idle: float = 10.0
    """For a process that hangs in a transaction, until the server ends it and frees its locks."""


A_GATEWAYS_PATIENCE = TimeLimits()
"""For the service."""

A_PERSONS_PATIENCE = TimeLimits(connect=10, turn=60, lock=60, work=600, silence=660, idle=60)
"""For commands: whoever revokes a hundred thousand certificates at once gives them the time that takes."""
