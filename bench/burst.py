"""How fast are ten thousand people answered for whom nobody has asked before, right after a restart?

Their keys were made in advance and are stored sealed; the service has just started. Gateways ask as soon as
they are answered, until every address was asked for. Mints come first: the key mails may follow later, but
all of them must, and afterwards no invariant may be broken and no key used twice.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from bench.asking import Answered, require_minted_for_the_address, unknown_addresses
from bench.few_primes import keys_of_few_primes
from bench.figures import Bound, Cell, Result, Target, percentile
from bench.gateways import LdapGateway
from bench.options import Options
from bench.premises import require
from bench.processes import cores
from bench.subject import DatabaseKind, Subject, subject
from ca.keys import KeyAlgorithm, PrivateKey
from directory.settings import load_settings
from directory.wiring.installation import open_installation
from directory.wiring.keystock import fill_stock, key_stock
from tests.service import Installed

ADDRESSES = 10_000
GATEWAYS = 8
PER_SECOND = 150.0

_ALGORITHM = KeyAlgorithm.RSA_3072
_BITS = 3072
_POOL = 256
"""Shared out among the workers. What one of them has in memory is of no use to the other."""
_LEDGER = "pool.ledger"
_WAYS = ((DatabaseKind.SQLITE, 1), (DatabaseKind.POSTGRESQL, 2))
_DRAINED_WITHIN_SECONDS = 1200.0


def run(options: Options) -> Result:
    """Measure on both databases."""
    number = options.certificates or ADDRESSES
    rows = [_row(kind, workers, number, options) for kind, workers in _WAYS]
    return Result(
        title=f"A burst of {number:,} unknown addresses after a restart: {_ALGORITHM}, keys stored, "
        f"{GATEWAYS} gateways over LDAP, {cores()} cores",
        rows=rows,
        targets=[
            Target(
                name=f"mints/s, {row['database']}, {row['processes']} process(es)",
                measured=float(row["mints/s"]),
                bound=Bound.AT_LEAST,
                wanted=PER_SECOND,
            )
            for row in rows
        ],
        notes=(
            "From the first question to the last answer. Last mail: after the first question. CPU ms/mint:",
            "of the service for everything but making keys, until the last answer.",
        ),
    )


def _row(kind: DatabaseKind, workers: int, number: int, options: Options) -> dict[str, Cell]:
    variables = {
        "PUSHPKI_CA__KEY_ALGORITHM": _ALGORITHM.value,
        "PUSHPKI_CA__KEY_POOL_SIZE": str(_POOL),
        "PUSHPKI_CA__KEY_POOL_PERSISTED": str(number + _POOL),
        "PUSHPKI_CA__KEY_POOL_LEDGER": _LEDGER,
        # A machine on which a gateway would be told to come back is slow, not wrong.
        "PUSHPKI_MINT__PATIENCE_SECONDS": "4",
    }

    def stored(installed: Installed) -> None:
        print(f"burst: {kind}: storing {number} keys", file=sys.stderr)
        asyncio.run(_store(installed, number + _POOL, real=options.real_keys))

    addresses = unknown_addresses(number)
    with subject(kind, variables, workers=workers, prepare=stored) as measured:
        print(f"burst: {kind}: asking", file=sys.stderr)
        before, began = measured.cpu_time(), time.monotonic()
        answers = _asked(measured, addresses)
        seconds, used = time.monotonic() - began, measured.cpu_time() - before
        mails = measured.sink.mails_to(set(addresses), within=_DRAINED_WITHIN_SECONDS)
    require(len(answers) == number, "every question is answered")
    require_minted_for_the_address(answers)
    require(len(mails) == number, "every recipient is sent one key mail")
    require(all(mail.has_key_package for mail in mails), "every key mail carries a key package")
    waited = [answer.milliseconds for answer in answers]
    return {
        "database": kind.value,
        "processes": workers,
        "mints": number,
        "seconds": seconds,
        "mints/s": number / seconds,
        "p50 ms": percentile(waited, 0.5),
        "p99 ms": percentile(waited, 0.99),
        "CPU ms/mint": used.in_the_foreground * 1000 / number,
        "last mail s": max(mail.accepted_at for mail in mails) - began,
    }


def _asked(measured: Subject, addresses: Sequence[str]) -> list[Answered]:
    """Ask for all of them, every gateway as soon as it is answered."""
    with ExitStack() as stack, ThreadPoolExecutor(GATEWAYS) as threads:
        gateways = [LdapGateway(measured.running) for _ in range(GATEWAYS)]
        for gateway in gateways:
            stack.callback(gateway.close)
        left = iter(addresses)

        def ask(gateway: LdapGateway) -> list[Answered]:
            answers = []
            for address in left:  # a list's iterator gives each of its items to one thread
                due_at = time.monotonic()
                certificate = gateway.look_up(address)
                answers.append(
                    Answered(
                        address=address,
                        due_at=due_at,
                        answered_at=time.monotonic(),
                        certificate=certificate,
                    )
                )
            return answers

        return [answer for answers in threads.map(ask, gateways) for answer in answers]


async def _store(installed: Installed, number: int, *, real: bool) -> None:
    read = load_settings(installed.config)
    ledger = installed.folder / _LEDGER
    settings = read.model_copy(update={"ca": read.ca.model_copy(update={"key_pool_ledger": ledger})})
    async with open_installation(settings, None) as installation:
        if real:
            await fill_stock(
                installation, _ALGORITHM, until=number, actor="bench", on_stored=lambda _made: None
            )
            return
        stock = key_stock(installation, _FewPrimes(number), target=number, actor="bench")
        while await stock.store_some(_ALGORITHM):
            pass


class _FewPrimes:
    """A pool that only has spare keys, of few primes."""

    levels: Mapping[KeyAlgorithm, int] = {_ALGORITHM: 0}

    def __init__(self, number: int) -> None:
        self._keys: Iterator[PrivateKey] = keys_of_few_primes(number, _BITS)

    def spare(self, algorithm: KeyAlgorithm) -> Future[PrivateKey]:
        """Return the next."""
        require(algorithm is _ALGORITHM, "the keys are of the size that is asked for")
        made: Future[PrivateKey] = Future()
        made.set_result(next(self._keys))
        return made

    def wanted(self, algorithm: KeyAlgorithm) -> int:
        """Want none."""
        del algorithm
        return 0

    def bring(self, algorithm: KeyAlgorithm, made_earlier: Sequence[PrivateKey]) -> None:
        """Need none."""

    def set_supplied(self, algorithm: KeyAlgorithm, *, supplied: bool) -> None:
        """Make no difference."""

    def on_low(self, tell: Callable[[], None]) -> None:
        """Never be low."""
