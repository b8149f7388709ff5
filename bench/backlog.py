"""How fast are key mails sent that have piled up, once their smart host is there again?

Two thousand mints by the service's own rules, one after the other and with nobody to send their mails; then
the service is started. The keys are made of a few primes: making keys is not the subject. Each mail is
composed, signed with the organization's DKIM key, stored as it is sent, handed over under TLS, and recorded.
"""

import asyncio
import sys
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

from bench.asking import unknown_addresses
from bench.delivery import signs_its_mails
from bench.few_primes import keys_of_few_primes
from bench.figures import Bound, Cell, Result, Target
from bench.premises import require
from bench.processes import cores, cpu_time
from bench.subject import UNLIMITED, DatabaseKind, SmartHost, subject
from ca.address import Mailbox
from ca.keys import KeyAlgorithm, PrivateKey
from directory.enrolment import Enroller
from directory.lookup import Minted, Question
from directory.mint_ports import FreshEnrolment, MailClaim
from directory.settings import Settings, load_settings
from directory.store.mint import SqlMintStore
from directory.wiring import minting
from directory.wiring.installation import open_installation
from tests.service import GATEWAY, Installed

MAILS = 2_000
_BITS = 3072
PER_SECOND = 100.0

_WAYS = ((DatabaseKind.SQLITE, 1), (DatabaseKind.POSTGRESQL, 1), (DatabaseKind.POSTGRESQL, 2))
"""SQLite has one process; the others share the outbox out among them."""
_DRAINED_WITHIN_SECONDS = 600.0


def run() -> Result:
    """Measure on both databases."""
    rows = [_row(kind, workers) for kind, workers in _WAYS]
    return Result(
        title=f"Draining a backlog of {MAILS} key mails, RSA-3072, TLS, {cores()} cores",
        rows=rows,
        targets=[
            Target(
                name=f"mails/s, {row['database']}, {row['processes']} process(es)",
                measured=float(row["mails/s"]),
                bound=Bound.AT_LEAST,
                wanted=PER_SECOND,
            )
            for row in rows
        ],
        notes=("From the first mail to the last, at the smart host. CPU ms/mail: service, and smart host.",),
    )


class _Keys:
    """A key for each, of few primes."""

    def __init__(self) -> None:
        self._keys = keys_of_few_primes(MAILS, _BITS)

    def take(self, algorithm: KeyAlgorithm) -> Future[PrivateKey]:
        """Return the next."""
        require(algorithm is KeyAlgorithm.RSA_3072, "the keys are of the size that is asked for")
        taken: Future[PrivateKey] = Future()
        taken.set_result(next(self._keys))
        return taken


class _Nobody:
    """Sends no mail."""

    def room(self, _now: datetime) -> AbstractContextManager[MailClaim | None]:
        """Have none."""
        return nullcontext()

    def enrolled(self, _enrolment: FreshEnrolment) -> None:
        """Leave it in the outbox."""


def _row(kind: DatabaseKind, workers: int) -> dict[str, Cell]:
    addresses = unknown_addresses(MAILS)

    def pile_up(installed: Installed) -> None:
        signs_its_mails(installed)
        print(f"backlog: {kind}: minting {MAILS}", file=sys.stderr)
        asyncio.run(_mint(load_settings(installed.config), addresses))

    variables = {"PUSHPKI_CA__KEY_ALGORITHM": "rsa-3072", "PUSHPKI_CA__KEY_POOL_SIZE": "1"}
    with subject(kind, variables, workers=workers, smart_host=SmartHost.TLS, prepare=pile_up) as measured:
        before = measured.cpu_time()
        mails = measured.sink.mails_to(set(addresses), within=_DRAINED_WITHIN_SECONDS)
        used, smart_host = measured.cpu_time() - before, cpu_time(measured.sink.pid)
    require(len(mails) == MAILS, "every recipient is sent one key mail")
    require(all(mail.has_key_package for mail in mails), "every key mail carries a key package")
    moments = sorted(mail.accepted_at for mail in mails)
    seconds = moments[-1] - moments[0]
    return {
        "database": kind.value,
        "processes": workers,
        "mails": MAILS,
        "seconds": seconds,
        "mails/s": (MAILS - 1) / seconds,
        "CPU ms/mail": used.in_the_foreground * 1000 / MAILS,
        "smart host": smart_host.total * 1000 / MAILS,
    }


async def _mint(settings: Settings, addresses: list[str]) -> None:
    unlimited = settings.model_copy(
        update={"limits": type(settings.limits)(**{_field(name): 0 for name in UNLIMITED})}
    )
    async with open_installation(unlimited, None) as installation:
        makers = minting.maker_roster(installation)
        await makers.start()
        minter = Enroller(
            store=SqlMintStore(installation.database, node=installation.node),
            keys=_Keys(),
            makers=makers,
            sealer=installation.sealer,
            rules=minting.mint_rules(unlimited),
            clock=installation.clock,
            postman=_Nobody(),
        )
        lookup = minting.lookup(installation, minter, patience=minting.A_PERSONS_PATIENCE)
        gateway = await installation.gateway(GATEWAY)
        for address in addresses:
            answer = await lookup.answer(Question(mailbox=Mailbox.parse(address), asker=gateway))
            require(isinstance(answer, Minted), "every address gets a certificate")
        await minter.settle()


def _field(variable: str) -> str:
    return variable.removeprefix("PUSHPKI_LIMITS__").lower()
