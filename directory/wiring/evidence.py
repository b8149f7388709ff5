"""What does the running service put on record of itself, and who signs it?"""

import asyncio
import errno
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from directory import __version__
from directory.audit import AuditKind
from directory.callers import Gateway
from directory.errors import ConfigurationRefused, Unknown
from directory.evidence.exporting import ChainStanding, export_lines, signed_export_lines
from directory.evidence.keys import AuditKeys
from directory.evidence.lines import ExportStart, line_of
from directory.evidence.lives import Circumstances, event_of_stop, events_of_start
from directory.evidence.notary import Notary
from directory.evidence.statements import KeyStatement, SignedHead
from directory.evidence.tallies import AccessWatch, Noted, Tally
from directory.lookup import Absent, Answer, Deferred, Question
from directory.policy import Refusal
from directory.settings.digests import settings_digests
from directory.store.evidence import SqlAuditKeys, SqlEvidence
from directory.wiring.counting import AnswerQuestion
from directory.wiring.installation import Installation
from directory.wiring.minting import recipient_profile
from directory.wiring.ocsp import responder_profile

logger = logging.getLogger(__name__)

_REFUSALS_PERIOD: Final = timedelta(minutes=1)
_ENTRIES_PERIOD: Final = timedelta(hours=1)
_MOST_REFUSALS: Final = 32
_MOST_ENTRIES: Final = 1000
_HEADS_FILE_MODE: Final = 0o640


class HeadsDeposit:
    """Takes signed heads out of the database: into the log, and into a file where there is one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._keys_written: set[str] = set()

    async def __call__(self, statements: Sequence[KeyStatement], head: SignedHead) -> None:
        """Write the head down, durably, and before it the keys that were not yet.

        Raises:
            ConfigurationRefused: it could not be written where the settings say.
        """
        written = line_of(head)
        logger.info("audit head: %s", written.rstrip())
        if self._path is None:
            return
        news = [statement for statement in statements if statement.key_id not in self._keys_written]
        lines = "".join((*map(line_of, news), written))
        try:
            await asyncio.to_thread(_append_durably, self._path, lines.encode())
        except OSError as error:
            raise ConfigurationRefused(
                key="audit.heads_file", reason=f"{self._path} cannot be written: {error.strerror}"
            ) from error
        self._keys_written |= {statement.key_id for statement in news}


def _append_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, _HEADS_FILE_MODE)
    try:
        # Workers share the file. Half a line, where the disk is full, is taken back.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if os.write(descriptor, content) != len(content):
            os.ftruncate(descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def audit_keys(installation: Installation, actor: str) -> AuditKeys:
    """Return the keys that sign the audit log."""
    return AuditKeys(
        store=SqlAuditKeys(installation.database, node=installation.node),
        sealer=installation.sealer,
        clock=installation.clock,
        actor=actor,
    )


def notary(installation: Installation, keys: AuditKeys) -> Notary:
    """Return who signs the heads of the chains."""
    return Notary(
        node=installation.node,
        store=SqlEvidence(installation.database),
        keys=keys,
        deposit=HeadsDeposit(installation.settings.audit.heads_file),
        clock=installation.clock,
    )


async def standings(installation: Installation) -> Sequence[ChainStanding]:
    """Return how every chain stands."""
    return await SqlEvidence(installation.database).standings()


async def stored_lines(installation: Installation, found: Sequence[ChainStanding]) -> AsyncIterator[str]:
    """Yield the whole log as it stood then; nothing is signed for it."""
    start = ExportStart(at=installation.clock.now(), node=None, since=0)
    ends = {standing.head.node: standing.end for standing in found}
    async for line in export_lines(SqlEvidence(installation.database), start, ends):
        yield line


async def export(
    installation: Installation, *, actor: str, node: str | None, since: int
) -> AsyncIterator[str]:
    """Yield the log, signed up to its end; where it is not whole, as it is, without a signature there.

    Raises:
        Unknown: there is no audit key yet, or no such node.
        SealBroken: the audit key does not open.
        StoreUnavailable: the database does not answer.
    """
    keys = audit_keys(installation, actor)
    ends = {standing.head.node: standing.end for standing in await standings(installation)}
    if node is not None and node not in ends:
        raise Unknown(kind="node", name=node)
    ends |= await notary(installation, keys).sign()
    start = ExportStart(at=installation.clock.now(), node=node, since=since)
    lines = export_lines(SqlEvidence(installation.database), start, ends)
    async for line in signed_export_lines(lines, await keys.signer(), installation.clock.now()):
        yield line


@asynccontextmanager
async def notarized(installation: Installation) -> AsyncIterator[None]:
    """Sign the heads of the chains until the context ends, and once more then.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    keys = audit_keys(installation, "service")
    await keys.ensure()
    signing = notary(installation, keys)
    stopped = asyncio.Event()
    task = asyncio.create_task(signing.run(stopped), name="notary")
    try:
        yield
    finally:
        stopped.set()
        await task
        await signing.attempt()


@asynccontextmanager
async def life_on_record(installation: Installation) -> AsyncIterator[None]:
    """Put on record that the service has started, with what, and how it ended before; at the end, its stop.

    Raises:
        StoreUnavailable: that is not on record, so the service must not start.
    """
    log, node = installation.audit_log, installation.node
    circumstances = Circumstances(
        node=node,
        version=__version__,
        settings=settings_digests(installation.settings),
        profiles="; ".join(
            map(str, (recipient_profile(installation.settings), responder_profile(installation.settings)))
        ),
        master_key_id=installation.sealer.active_key_id,
    )
    former = await log.former_life()
    await log.append(*events_of_start(former, circumstances, installation.clock.now()))
    try:
        yield
    finally:
        await log.append(event_of_stop(node, installation.clock.now()))


@asynccontextmanager
async def watching(installation: Installation) -> AsyncIterator["Watch"]:
    """Count refusals and entries until the context ends, and put them on record every now and then."""
    log, clock = installation.audit_log, installation.clock
    refusals = Tally(log=log, clock=clock, period=_REFUSALS_PERIOD, most=_MOST_REFUSALS)
    entries = Tally(log=log, clock=clock, period=_ENTRIES_PERIOD, most=_MOST_ENTRIES)
    stopped = asyncio.Event()
    async with AsyncExitStack() as stack:
        for name, tally in (("refusals", refusals), ("entries", entries)):
            task = asyncio.create_task(tally.run(stopped), name=name)
            stack.push_async_callback(_ended, task)
        stack.callback(stopped.set)
        yield Watch(AccessWatch(note_entry=entries.note, note_failure=refusals.note), refusals)


async def _ended(task: asyncio.Task[None]) -> None:
    await task


class Watch:
    """What the front ends tell of."""

    def __init__(self, access: AccessWatch, refusals: Tally) -> None:
        self.access = access
        self._refusals = refusals

    def answering(self, answer: AnswerQuestion) -> AnswerQuestion:
        """Return the same, taking notice of mints that are refused."""

        async def answering(question: Question) -> Answer:
            given = await answer(question)
            if isinstance(given, Absent | Deferred) and isinstance(question.asker, Gateway):
                self._refused(given.refusal, question.asker)
            return given

        return answering

    def _refused(self, refusal: Refusal, gateway: Gateway) -> None:
        # Whoever only reads, or may not mint, is not refused a mint: there is just no certificate.
        if refusal is Refusal.NOT_FOUND:
            return
        self._refusals.note(
            Noted(
                kind=AuditKind.MINT_REFUSED,
                actor=f"gateway:{gateway.name}",
                subject=f"refusal:{refusal.value}",
                organization_id=gateway.organization_id,
            )
        )
