"""A thousand times `kill -9` while mails are sent, at every step, with others in flight, on both databases.

Afterwards every mail has been accepted; what the outbox calls accepted, the smart host has; and where it has
a mail twice, because the acceptance had not been written down, the copies are the same to the last octet, for
the same recipient, under the same return path. Forty times in `make test`, a thousand in `make faults`.
"""

import asyncio
import random
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, Select, func, select

from directory.audit import ChainHead
from directory.delivery.outbox import DeliveryState, MailState
from directory.links import LinkPurpose
from directory.steps import Step
from directory.store.audit_log import read_chain
from directory.store.database import Database
from directory.store.opening import open_database
from directory.store.tables import deliveries, held_keys, outgoing_mail, recipient_links
from tests.chains import broken_links
from tests.databases import PATIENT, Databases
from tests.directory.delivery.sink import SmtpSink, Transaction, smtp_sink
from tests.faults.crashing_delivery import NEVER, WORKER
from tests.faults.sending_world import an_organization_at, found, mint

STEPS = [step for step in Step if step.startswith("mail.")]
LATE = frozenset({Step.MAIL_AFTER_DATA, Step.MAIL_RECORDED})
MAILS_A_RUN = 2
DEATHS = 20
DEATHS_IN_LONG_RUNS = 500
PATIENCE_SECONDS = 60


class Mortal:
    """The process that forks workers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def work(self, step: str, occurrence: int) -> str:
        """Let a worker live until the step is taken for the n-th time; return what became of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{step} {occurrence}\n".encode())
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await self._process.stdout.readline()).decode().strip()


@asynccontextmanager
async def mortal(url: str, log: Path) -> AsyncIterator[Mortal]:
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.crashing_delivery", url),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
        try:
            yield Mortal(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_nothing_is_lost_and_copies_are_the_same(
    kind: str, databases: Databases, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    deaths = DEATHS_IN_LONG_RUNS if request.config.getoption("--long") else DEATHS
    draw = random.Random(deaths)  # noqa: S311 - reproducible, not secret
    url, died, minted = await databases.fresh(kind), Counter[str](), list[str]()
    async with smtp_sink() as sink, mortal(url, tmp_path / "log") as worker:
        database = open_database(url, limits=PATIENT)
        try:
            organization = an_organization_at(sink)
            await found(database, organization)
            while died.total() < deaths:
                for _ in range(MAILS_A_RUN):
                    minted.append(await mint(database, organization, len(minted)))
                # Each step in turn; the key mails' proofs take it too, so there is mostly a third time.
                step = STEPS[died.total() % len(STEPS)]
                if await worker.work(step, draw.randint(1, 3)) == "killed":
                    died[step] += 1
            assert await worker.work(NEVER, 1) == "done"

            await assert_all_is_recorded(database, minted)
            assert_all_has_arrived(sink, minted, await message_ids(database), died)
        finally:
            await database.close()
            databases.drop(url)
    assert set(died) == set(STEPS)
    assert b"Traceback" not in (tmp_path / "log").read_bytes()


async def message_ids(database: Database) -> set[str]:
    query = select(outgoing_mail.c.message_id)
    return await database.read(lambda connection: set(connection.execute(query).scalars()))


async def assert_all_is_recorded(database: Database, minted: list[str]) -> None:
    states = select(outgoing_mail.c.kind, outgoing_mail.c.state, func.count()).group_by(
        outgoing_mail.c.kind, outgoing_mail.c.state
    )
    accepted = select(func.count()).where(deliveries.c.state == DeliveryState.ACCEPTED.value)
    held = select(func.count()).where(held_keys.c.hold_until.is_not(None))
    kept = select(func.count()).where(outgoing_mail.c.message_wrapped_key.is_not(None))
    links = select(recipient_links.c.purpose, func.count()).group_by(recipient_links.c.purpose)
    count = len(minted)

    found = await database.read(lambda connection: connection.execute(states).all())
    assert {tuple(row) for row in found} == {
        ("key", MailState.ACCEPTED.value, count),
        ("proof", MailState.ACCEPTED.value, count),
    }
    for query, expected in ((accepted, count), (held, count), (kept, 0)):
        assert await database.read(partial(_number, query=query)) == expected
    # A mail is composed once: twice would have let two links of each purpose be valid.
    purposes = await database.read(lambda connection: connection.execute(links).all())
    assert {row[0]: row[1] for row in purposes} == {
        LinkPurpose.INSTALL: count,
        LinkPurpose.PROOF: count,
        LinkPurpose.STOP: 2 * count,
    }


def _number(connection: Connection, *, query: Select[int]) -> int:
    count: int = connection.execute(query).scalar_one()
    return count


async def assert_the_log_is_whole(database: Database, acceptances: int) -> None:
    """Check the chain of the worker that died: each acceptance is in it once."""
    chain = [item async for item in read_chain(database, WORKER, 500)]
    head = ChainHead(node=WORKER, sequence=chain[-1].sequence, hash=chain[-1].hash)
    assert broken_links(chain, head) == []
    accepted = [event for event in chain if event.event.kind.value.endswith(".accepted")]
    assert len(accepted) == acceptances


def assert_all_has_arrived(
    sink: SmtpSink, minted: list[str], message_ids: set[str], died: Counter[str]
) -> None:
    copies: defaultdict[str, list[Transaction]] = defaultdict(list)
    for transaction in sink.accepted:
        copies[message_id_of(transaction)].append(transaction)
    assert set(copies) == message_ids
    assert set(minted) < message_ids
    for transactions in copies.values():
        assert len({(one.mail, tuple(one.recipients), one.content) for one in transactions}) == 1
        assert len(transactions[0].recipients) == 1
    # Who dies before anything was handed over makes no copy; who dies after may make one of each in flight.
    assert len(sink.accepted) > len(copies), "nobody died between the acceptance and its record"
    assert died[Step.MAIL_AFTER_DATA] > 0


def message_id_of(transaction: Transaction) -> str:
    (line,) = [line for line in transaction.message.split(b"\r\n") if line.startswith(b"Message-ID: ")]
    return line.removeprefix(b"Message-ID: ").decode()
