"""Does a mint cost less than CFSSL's `newcert`? The same questions to both, on the same cores, in turn.

Both servers run at once, and while one is asked the other has nothing to do. First with nothing prepared:
eight clients, each asking as soon as it is answered, and a key of RSA-2048 made for each. Then with keys at
hand, which CFSSL never has: how long the answer takes, with as many clients, once asking as soon as answered,
once at the rate at which CFSSL answers all eight.

A mint of ours is linted, sealed and committed with its audit event, and sends its key mail meanwhile.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.asking import (
    Answered,
    ask_on_schedule,
    keep_asking,
    require_minted_for_the_address,
    unknown_addresses,
)
from bench.cfssl import CfsslGateway, cfssl, version
from bench.figures import Bound, Cell, Result, Target, percentile
from bench.gateways import Gateway, HttpGateway
from bench.key_generation import measure_key_generation
from bench.options import Options
from bench.premises import require
from bench.processes import cores, cpu_time
from bench.subject import DatabaseKind, Subject, subject
from ca.keys import KeyAlgorithm

SECONDS = 30.0
ROUNDS = 3
CLIENTS = 8
TIMES_THE_CERTIFICATES = 2.0
TIMES_LOWER = 25.0

_BITS = 2048
_WARM_UP_SECONDS = 3.0
_KEYS_PER_SECOND = 150
"""More than are ever asked for with keys at hand."""
_SECONDS_PER_KEY = 5.0
"""Longer than any machine takes to make one; only to give up at some time."""

_CFSSL = "CFSSL"
_EMPTY = "pushpki, nothing prepared"
_WARM = "pushpki, keys at hand"

Connect = Callable[[], Gateway]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """What one side answered."""

    answers: Sequence[Answered]
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        return len(self.answers) / self.seconds

    @property
    def p50(self) -> float:
        return percentile([answer.milliseconds for answer in self.answers], 0.5)

    def cells(self) -> dict[str, Cell]:
        waited = [answer.milliseconds for answer in self.answers]
        return {
            "certificates/s": self.per_second,
            "p50 ms": self.p50,
            "p99 ms": percentile(waited, 0.99),
            "CPU ms each": self.cpu_seconds * 1000 / len(self.answers),
        }


def run(options: Options) -> Result:
    """Measure in turn."""
    seconds = options.seconds or SECONDS
    alone = measure_key_generation(KeyAlgorithm.RSA_2048, seconds)
    rows: list[dict[str, Cell]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushpki-bench-")))
        other = stack.enter_context(cfssl(folder / "cfssl"))

        def theirs() -> Gateway:
            return CfsslGateway(other, bits=_BITS)

        empty = stack.enter_context(_service(pool=0))
        cfssls, ours = [], []
        for number in range(1, ROUNDS + 1):
            cfssls.append(_asked(f"{_CFSSL}, round {number}", theirs, other.pid, seconds))
            ours.append(
                _asked(f"{_EMPTY}, round {number}", _over_http(empty), empty.running.process.pid, seconds)
            )
            empty.require_key_mails(list(ours[-1].answers))
            rows += [
                {"round": str(number), "side": name, **side.cells()}
                for name, side in ((_CFSSL, cfssls[-1]), (_EMPTY, ours[-1]))
            ]
        rate = sum(one.per_second for one in cfssls) / ROUNDS
    with _service(pool=round(2 * (seconds + _WARM_UP_SECONDS) * _KEYS_PER_SECOND)) as warm:
        at_rate = _scheduled(warm, seconds, rate)
        at_once = _asked(f"{_WARM}, at once", _over_http(warm), warm.running.process.pid, seconds)
        warm.require_key_mails([*at_rate.answers, *at_once.answers])
    rows += [
        {"round": f"{rate:.0f}/s", "side": _WARM, **at_rate.cells()},
        {"round": "at once", "side": _WARM, **at_once.cells()},
    ]
    per_second = sum(one.per_second for one in ours) / ROUNDS
    p50 = percentile([answer.milliseconds for one in cfssls for answer in one.answers], 0.5)
    return Result(
        title=f"A certificate for an unknown address beside CFSSL ({version()}): RSA-2048, HTTP, SQLite, "
        f"{CLIENTS} clients, {cores()} cores for both sides",
        rows=rows,
        targets=[
            Target(
                name="certificates/s by those of CFSSL, nothing prepared",
                measured=per_second / rate,
                bound=Bound.AT_LEAST,
                wanted=TIMES_THE_CERTIFICATES,
            ),
            Target(
                name=f"CFSSL's p50 by ours, keys at hand, asked as often as CFSSL answers ({rate:.0f}/s)",
                measured=p50 / at_rate.p50,
                bound=Bound.AT_LEAST,
                wanted=TIMES_LOWER,
            ),
            Target(
                name="CFSSL's p50 by ours, keys at hand, each client asking as soon as answered",
                measured=p50 / at_once.p50,
                bound=Bound.AT_LEAST,
                wanted=TIMES_LOWER,
            ),
        ],
        notes=(
            f"Keys alone: {alone.per_second:.1f}/s on all cores; with nothing prepared no service that makes",
            "them by `cryptography` can exceed it. CPU ms each: of the server, making keys included.",
        ),
    )


@contextmanager
def _service(*, pool: int) -> Iterator[Subject]:
    variables = {
        "PUSHPKI_CA__KEY_ALGORITHM": KeyAlgorithm.RSA_2048.value,
        "PUSHPKI_CA__KEY_POOL_SIZE": str(pool),
        # A machine on which eight keys take longer than gateways usually wait is slow, not wrong.
        "PUSHPKI_MINT__PATIENCE_SECONDS": "4",
    }
    with subject(DatabaseKind.SQLITE, variables) as measured:
        if pool:
            _say(f"{_WARM}: making {pool} keys")
            measured.wait_until_idle(within=_SECONDS_PER_KEY * pool)
        yield measured


def _over_http(measured: Subject) -> Connect:
    return lambda: HttpGateway(measured.running)


def _asked(name: str, connect: Connect, pid: int, seconds: float) -> _Round:
    """Ask with every client as soon as it is answered; what was answered in the measured time counts."""
    _say(name)
    with _clients(connect) as clients, keep_asking(clients) as asking:
        asking.go_on_for(_WARM_UP_SECONDS)
        before = cpu_time(pid).total
        began = time.monotonic()
        asking.go_on_for(seconds)
        ended, used = time.monotonic(), cpu_time(pid).total - before
        answers = asking.stop()
    require_minted_for_the_address(answers)
    counted = [answer for answer in answers if began <= answer.answered_at < ended]
    require(counted, "somebody is answered in the measured time")
    return _Round(answers=counted, seconds=ended - began, cpu_seconds=used)


def _scheduled(measured: Subject, seconds: float, per_second: float) -> _Round:
    """Ask at fixed moments, whether or not earlier answers have come."""
    _say(f"{_WARM}, {per_second:.0f}/s")
    pid = measured.running.process.pid
    with _clients(_over_http(measured)) as clients:
        ask_on_schedule(
            clients, unknown_addresses(round(_WARM_UP_SECONDS * per_second)), per_second=per_second
        )
        before, began = cpu_time(pid).total, time.monotonic()
        answers = ask_on_schedule(
            clients, unknown_addresses(round(seconds * per_second)), per_second=per_second
        )
        ended, used = time.monotonic(), cpu_time(pid).total - before
    require_minted_for_the_address(answers)
    return _Round(answers=answers, seconds=ended - began, cpu_seconds=used)


@contextmanager
def _clients(connect: Connect) -> Iterator[Sequence[Gateway]]:
    with ExitStack() as stack:
        clients = [connect() for _ in range(CLIENTS)]
        for client in clients:
            stack.callback(client.close)
        yield clients


def _say(what: str) -> None:
    print(f"against_cfssl: {what}", file=sys.stderr)
