"""How long does a gateway wait for the certificate of somebody nobody has asked for before?

Keys are ready; everything else happens while the gateway waits: the certificate is prepared, linted and
signed, the secrets are sealed, and all of it is committed durably. Key mails go out beside it. The key pool
rests until half of it is left, and so it does here: it holds twice what is asked for. What its threads, at
their low priority, do to the latency once they work is a row of its own.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from enum import Enum

from bench.asking import Answered, ask_on_schedule, require_minted_for_the_address, unknown_addresses
from bench.figures import Bound, Cell, Result, Target, percentile
from bench.gateways import Gateway, HttpGateway, LdapGateway
from bench.premises import require
from bench.subject import DatabaseKind, Subject, subject
from tests.service import Running

SECONDS = 60.0
GATEWAYS = 8
PER_SECOND = 20.0
P50_MILLISECONDS = 15.0
P99_MILLISECONDS = 75.0

_WARM_UP_SECONDS = 3.0
_SECONDS_PER_KEY = 5.0
"""Longer than any machine takes to make one; only to give up at some time."""

Connect = Callable[[Running], Gateway]


class _Pool(Enum):
    """What the key pool does meanwhile."""

    RESTS = "full at the beginning"
    REFILLS = "half empty, all cores making keys"


_WAYS: dict[DatabaseKind, tuple[tuple[str, Connect, _Pool], ...]] = {
    DatabaseKind.SQLITE: (
        ("LDAP, SQLite", LdapGateway, _Pool.RESTS),
        ("HTTP, SQLite", HttpGateway, _Pool.RESTS),
        ("LDAP, SQLite, key pool refilling", LdapGateway, _Pool.REFILLS),
    ),
    DatabaseKind.POSTGRESQL: (("LDAP, PostgreSQL", LdapGateway, _Pool.RESTS),),
}


def run(seconds: float | None) -> Result:
    """Measure, over both front ends and on both databases."""
    measured = list(_measured(seconds or SECONDS))
    first = measured[0]
    return Result(
        title=f"First lookup of an unknown address: {PER_SECOND:g} mints/s, RSA-3072, {GATEWAYS} gateways",
        rows=measured,
        targets=(
            _target("p50", first, P50_MILLISECONDS),
            _target("p99", first, P99_MILLISECONDS),
        ),
    )


def _target(column: str, row: dict[str, Cell], wanted: float) -> Target:
    measured = row[f"{column} ms"]
    assert isinstance(measured, float)
    return Target(name=f"{column} ms, {row['way']}", measured=measured, bound=Bound.AT_MOST, wanted=wanted)


def _measured(seconds: float) -> Iterator[dict[str, Cell]]:
    number = round(PER_SECOND * seconds)
    warm_up = round(PER_SECOND * _WARM_UP_SECONDS)
    pool = 2 * (number + warm_up)
    variables = {"PUSHPKI_CA__KEY_ALGORITHM": "rsa-3072", "PUSHPKI_CA__KEY_POOL_SIZE": str(pool)}
    for kind, ways in _WAYS.items():
        with subject(kind, variables) as measured:
            for way, connect, state in ways:
                if state is _Pool.RESTS:
                    print(f"first_lookup: {way}: filling the key pool", file=sys.stderr)
                    measured.wait_until_idle(within=_SECONDS_PER_KEY * pool)
                # Otherwise the way before has just used up its half.
                yield _row(way, measured, connect, warm_up, number)


def _row(name: str, measured: Subject, connect: Connect, warm_up: int, number: int) -> dict[str, Cell]:
    with ExitStack() as stack:
        gateways = [connect(measured.running) for _ in range(GATEWAYS)]
        for gateway in gateways:
            stack.callback(gateway.close)
        warmed = ask_on_schedule(gateways, unknown_addresses(warm_up), per_second=PER_SECOND)
        measured.require_key_mails(warmed)
        before = measured.cpu_time()
        answers = ask_on_schedule(gateways, unknown_addresses(number), per_second=PER_SECOND)
    measured.require_key_mails(answers)
    used = measured.cpu_time() - before
    require_minted_for_the_address(warmed + answers)
    require(len(answers) == number, "every question is answered")
    return {
        "way": name,
        "mints": number,
        **_latencies(answers),
        "CPU ms/mint": used.in_the_foreground * 1000 / number,
    }


def _latencies(answers: list[Answered]) -> dict[str, Cell]:
    waited = [answer.milliseconds for answer in answers]
    return {
        "p50 ms": percentile(waited, 0.5),
        "p90 ms": percentile(waited, 0.9),
        "p99 ms": percentile(waited, 0.99),
        "max ms": max(waited),
    }
