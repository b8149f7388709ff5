"""How long does it take from a lookup until the smart host has taken the key mail?

Counted from the moment the question was to be asked: the mint, its commit, the answer, which goes first, then
the mail: composed, signed with the organization's DKIM key, stored as it is sent, handed over under TLS.
Keys are ready; making them is measured elsewhere.
"""

import sys
from contextlib import ExitStack

from bench.asking import Answered, ask_on_schedule, require_minted_for_the_address, unknown_addresses
from bench.figures import Bound, Cell, Result, Target, percentile
from bench.gateways import LdapGateway
from bench.premises import require
from bench.subject import DatabaseKind, SmartHost, Subject, subject
from tests.service import Installed, succeed

SECONDS = 60.0
GATEWAYS = 8
PER_SECOND = 20.0
P50_MILLISECONDS = 250.0
P99_MILLISECONDS = 2000.0

_WARM_UP_SECONDS = 3.0
_SECONDS_PER_KEY = 5.0
"""Longer than any machine takes to make one; only to give up at some time."""


def run(seconds: float | None) -> Result:
    """Measure on both databases."""
    rows = [_row(kind, seconds or SECONDS) for kind in DatabaseKind]
    return Result(
        title=f"From the lookup to the smart host's acceptance: {PER_SECOND:g} enrolments/s, RSA-3072, TLS",
        rows=rows,
        targets=[
            _target(f"{column} ms, {row['database']}", float(row[f"{column} ms"]), wanted)
            for row in rows
            for column, wanted in (("p50", P50_MILLISECONDS), ("p99", P99_MILLISECONDS))
        ],
        notes=("Answer: how long the gateway waited for the certificate, in the same run.",),
    )


def signs_its_mails(installed: Installed) -> None:
    """Let the organization sign its mails with a key of its own."""
    config = str(installed.config)
    succeed("org", "dkim", "hospital", "--selector", "bench", "--config", config)


def _target(name: str, measured: float, wanted: float) -> Target:
    return Target(name=name, measured=measured, bound=Bound.AT_MOST, wanted=wanted)


def _row(kind: DatabaseKind, seconds: float) -> dict[str, Cell]:
    number, warm_up = round(PER_SECOND * seconds), round(PER_SECOND * _WARM_UP_SECONDS)
    # The pool rests until half of it is left.
    pool = 2 * (number + warm_up)
    variables = {"PUSHPKI_CA__KEY_ALGORITHM": "rsa-3072", "PUSHPKI_CA__KEY_POOL_SIZE": str(pool)}
    with subject(kind, variables, smart_host=SmartHost.TLS, prepare=signs_its_mails) as measured:
        print(f"delivery: {kind}: filling the key pool", file=sys.stderr)
        measured.wait_until_idle(within=_SECONDS_PER_KEY * pool)
        return _measured(kind, measured, warm_up, number)


def _measured(kind: DatabaseKind, measured: Subject, warm_up: int, number: int) -> dict[str, Cell]:
    with ExitStack() as stack:
        gateways = [LdapGateway(measured.running) for _ in range(GATEWAYS)]
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
    waited = _until_accepted(measured, answers)
    return {
        "database": kind.value,
        "enrolments": number,
        "p50 ms": percentile(waited, 0.5),
        "p90 ms": percentile(waited, 0.9),
        "p99 ms": percentile(waited, 0.99),
        "max ms": max(waited),
        "answer p50 ms": percentile([answer.milliseconds for answer in answers], 0.5),
        "answer p99 ms": percentile([answer.milliseconds for answer in answers], 0.99),
        "CPU ms/enrolment": used.in_the_foreground * 1000 / number,
    }


def _until_accepted(measured: Subject, answers: list[Answered]) -> list[float]:
    accepted_at = {mail.recipient: mail.accepted_at for mail in measured.sink.mails()}
    return [(accepted_at[answer.address] - answer.due_at) * 1000 for answer in answers]
