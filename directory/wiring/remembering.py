"""What does a process remember, and what keeps that true? The answers of its LDAP front end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from directory.authorities import Authorities
from directory.changes import ChangeFollower
from directory.ldap.answers import AnswerCache
from directory.store.changes import SqlChangeLog
from directory.wiring.installation import Installation

_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What is remembered, and who keeps it true."""

    answers: AnswerCache
    follower: ChangeFollower


@asynccontextmanager
async def remembering(installation: Installation, authorities: Authorities) -> AsyncIterator[Remembered]:
    """Keep remembered answers true until the context ends; before it has begun to, nothing is given."""
    follower = ChangeFollower(SqlChangeLog(installation.database))
    answers = AnswerCache(
        octets=installation.settings.ldap.cache_mebibytes * _MEBIBYTE,
        clock=installation.clock,
        is_current=follower.is_current,
        authorities=authorities,
    )
    follower.keep_true(answers)
    stopped = asyncio.Event()
    following = asyncio.create_task(follower.follow(stopped), name="change follower")
    try:
        yield Remembered(answers=answers, follower=follower)
    finally:
        stopped.set()
        await following
