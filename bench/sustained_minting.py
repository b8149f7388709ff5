"""How many mints per second does a machine sustain, key mails included, beside what making the keys costs?

Sixteen lookups are always under way. A mint counts if it was answered, and its key mail accepted by the smart
host, both within the measured time. It is set beside what all cores make of keys when they do nothing else,
before and after, in the same run: neither says anything about another machine, or another hour.
"""

import math
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass

from bench.asking import Answered, keep_asking, require_minted_for_the_address
from bench.figures import Bound, Cell, Result, Target
from bench.gateways import LdapGateway
from bench.key_generation import KeyGeneration, measure_key_generation
from bench.processes import CpuTime, cpu_time
from bench.subject import DatabaseKind, Subject, subject
from ca.keys import KeyAlgorithm

SECONDS = 120.0
OUTSTANDING = 16
WANTED = {KeyAlgorithm.RSA_3072: 0.9, KeyAlgorithm.RSA_2048: 0.75}

_WARM_UP_SECONDS = 10.0
_POOL = 8
"""Few: what is ready at the beginning is used up in the warm-up."""

_NOTES = (
    "Keys/s: `cryptography` on all cores and nothing else, before and after. The ratio is mints per second",
    "by their mean, with its standard error: how long a prime is searched for is luck. By CPU time: the",
    "share of the cores that went into making keys, by the share that does so alone; it knows no luck.",
    "CPU ms/mint: of the service for everything but making keys; of the smart host; of the gateways.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Minted:
    """What happened in the measured time."""

    seconds: float
    mints: int
    service: CpuTime
    smart_host: float
    gateways: float


def run(seconds: float | None) -> Result:
    """Measure with both sizes of key."""
    rows = [_row(algorithm, seconds or SECONDS) for algorithm in WANTED]
    return Result(
        title=f"Sustained minting: {OUTSTANDING} lookups under way over LDAP, SQLite, key mails accepted",
        rows=rows,
        targets=[
            Target(
                name=f"ratio, {row['keys']}",
                measured=float(row["ratio"]),
                bound=Bound.AT_LEAST,
                wanted=wanted,
            )
            for row, wanted in zip(rows, WANTED.values(), strict=True)
        ],
        notes=_NOTES,
    )


def _row(algorithm: KeyAlgorithm, seconds: float) -> dict[str, Cell]:
    before = _keys_alone(algorithm, seconds / 2)
    minted = _minted(algorithm, seconds)
    after = _keys_alone(algorithm, seconds / 2)
    per_second = minted.mints / minted.seconds
    ratio = per_second / statistics.mean((before.per_second, after.per_second))
    luck = before.spread * math.sqrt(1 / minted.mints + 1 / (before.keys + after.keys))
    busy_alone = statistics.mean((before.cores_busy, after.cores_busy))
    return {
        "keys": algorithm.value,
        "keys/s before": before.per_second,
        "keys/s after": after.per_second,
        "mints/s": per_second,
        "ratio": ratio,
        "±": ratio * luck,
        "by CPU time": minted.service.in_the_background / minted.seconds / busy_alone,
        "CPU ms/mint: service": minted.service.in_the_foreground * 1000 / minted.mints,
        "smart host": minted.smart_host * 1000 / minted.mints,
        "gateways": minted.gateways * 1000 / minted.mints,
    }


def _keys_alone(algorithm: KeyAlgorithm, seconds: float) -> KeyGeneration:
    print(f"sustained_minting: {algorithm}: making keys alone", file=sys.stderr)
    return measure_key_generation(algorithm, seconds)


def _minted(algorithm: KeyAlgorithm, seconds: float) -> _Minted:
    print(f"sustained_minting: {algorithm}: minting", file=sys.stderr)
    variables = {
        "PUSHPKI_CA__KEY_ALGORITHM": algorithm.value,
        "PUSHPKI_CA__KEY_POOL_SIZE": str(_POOL),
        # All sixteen wait for keys, the last of them longer than gateways are usually made to.
        "PUSHPKI_MINT__PATIENCE_SECONDS": "4",
    }
    with subject(DatabaseKind.SQLITE, variables) as measured, ExitStack() as stack:
        gateways = [LdapGateway(measured.running) for _ in range(OUTSTANDING)]
        for gateway in gateways:
            stack.callback(gateway.close)
        with keep_asking(gateways) as asking:
            asking.go_on_for(_WARM_UP_SECONDS)
            before, began = _used(measured), time.monotonic()
            asking.go_on_for(seconds)
            after, ended = _used(measured), time.monotonic()
            answers = asking.stop()
        measured.require_key_mails(answers)
        mints = _completed(measured, answers, began, ended)
    require_minted_for_the_address(answers)
    service, smart_host = (late - early for late, early in zip(after[:2], before[:2], strict=True))
    return _Minted(
        seconds=ended - began,
        mints=mints,
        service=service,
        smart_host=smart_host.total,
        gateways=after[2] - before[2],
    )


def _used(measured: Subject) -> tuple[CpuTime, CpuTime, float]:
    # The gateways are threads of this process, whose children are the other two.
    return measured.cpu_time(), cpu_time(measured.sink.pid), time.process_time()


def _completed(measured: Subject, answers: list[Answered], began: float, ended: float) -> int:
    """Count the mints that were answered, and their mails accepted, in the measured time."""
    accepted_at = {mail.recipient: mail.accepted_at for mail in measured.sink.mails()}
    return sum(
        began <= answer.answered_at < ended and began <= accepted_at[answer.address] < ended
        for answer in answers
    )
