"""When are the questions of a benchmark asked? On a fixed schedule, or each as soon as the last is answered.

Threads with blocking sockets: they sleep precisely and cost next to nothing between questions.
"""

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

from cryptography import x509

from bench.gateways import Gateway
from bench.premises import require

_HEAD_START_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A question and its answer; moments on the monotonic clock."""

    address: str
    due_at: float
    """When it was to be asked. Counted from here, a service that falls behind its gateways cannot hide it."""
    answered_at: float
    certificate: bytes

    @property
    def milliseconds(self) -> float:
        """How long the gateway waited."""
        return (self.answered_at - self.due_at) * 1000


def unknown_addresses(number: int) -> list[str]:
    """Return addresses nobody has asked for yet."""
    run = secrets.token_hex(4)
    return [f"recipient.{run}.{count:06d}@example.com" for count in range(number)]


def ask_on_schedule(
    gateways: Sequence[Gateway], addresses: Sequence[str], *, per_second: float
) -> list[Answered]:
    """Ask at fixed moments, the gateways in turn, whether or not earlier answers have come (open loop)."""
    begin = time.monotonic() + _HEAD_START_SECONDS

    def ask(number: int, gateway: Gateway) -> list[Answered]:
        answers = []
        for count in range(number, len(addresses), len(gateways)):
            due_at = begin + count / per_second
            time.sleep(max(0.0, due_at - time.monotonic()))
            answers.append(_ask(gateway, addresses[count], due_at))
        return answers

    with ThreadPoolExecutor(len(gateways)) as threads:
        return [answer for answers in threads.map(ask, range(len(gateways)), gateways) for answer in answers]


class KeepsAsking:
    """Asks as soon as answered, with every gateway, until told to stop (closed loop)."""

    def __init__(self, gateways: Sequence[Gateway]) -> None:
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(len(gateways))
        self._asking = [self._threads.submit(self._ask_on, gateway) for gateway in gateways]

    def go_on_for(self, seconds: float) -> None:
        """Return after so long, or as soon as one of the gateways had to give up.

        Raises:
            PremiseBroken: it was given something else than a certificate.
        """
        for gave_up in wait(self._asking, seconds, FIRST_COMPLETED).done:
            gave_up.result()

    def end(self) -> None:
        """Ask no more, and wait for the answers under way."""
        self._stop.set()
        self._threads.shutdown()

    def stop(self) -> list[Answered]:
        """Ask no more; return all answers.

        Raises:
            PremiseBroken: one was something else than a certificate.
        """
        self.end()
        return [answer for asking in self._asking for answer in asking.result()]

    def _ask_on(self, gateway: Gateway) -> list[Answered]:
        answers: list[Answered] = []
        run = secrets.token_hex(8)
        while not self._stop.is_set():
            address = f"recipient.{run}.{len(answers):06d}@example.com"
            answers.append(_ask(gateway, address, time.monotonic()))
        return answers


@contextmanager
def keep_asking(gateways: Sequence[Gateway]) -> Iterator[KeepsAsking]:
    """Keep one question under way on every gateway."""
    asking = KeepsAsking(gateways)
    try:
        yield asking
    finally:
        asking.end()


def require_minted_for_the_address(answers: Sequence[Answered]) -> None:
    """Check that every certificate is for the address asked, and no two are the same.

    Raises:
        PremiseBroken: it is not so.
    """
    serials = set()
    for answer in answers:
        certificate = x509.load_der_x509_certificate(answer.certificate)
        serials.add(certificate.serial_number)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        require(
            names.get_values_for_type(x509.RFC822Name) == [answer.address],
            "the certificate is for the address asked",
        )
    require(len(serials) == len(answers), "every certificate was minted for its question")


def _ask(gateway: Gateway, address: str, due_at: float) -> Answered:
    certificate = gateway.look_up(address)
    return Answered(address=address, due_at=due_at, answered_at=time.monotonic(), certificate=certificate)
