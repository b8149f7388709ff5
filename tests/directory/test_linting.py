import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ca.keys import PrivateKey
from ca.linting import Finding, Linter
from ca.profiles import Purpose
from ca.signing import SignatureScheme, _signed, throwaway_key_like
from directory.linting import LintingProcess
from tests.builders import Authority, a_certificate, a_prepared_certificate
from tests.ca.mutants import mutants

PATIENT = 60.0
MUTE = (sys.executable, "-c", "import time; time.sleep(600)")
BROKEN = (sys.executable, "-c", "raise SystemExit(1)")
READY = """
import sys
from multiprocessing.connection import Connection

connection = Connection(int(sys.argv[1]))
connection.send_bytes(b"")
while connection.recv_bytes():
"""
SILENT = (sys.executable, "-c", f"{READY}    pass")
LYING = (sys.executable, "-c", f"""{READY}    connection.send_bytes(b'{{"findings": 0}}')""")


class Hours:
    """A clock that stands."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def process() -> Iterator[LintingProcess]:
    linting = LintingProcess(answers_within=PATIENT)
    assert linting.start(within=PATIENT)
    yield linting
    linting.stop()


@pytest.fixture(scope="module")
def good(authority: Authority, recipient_key: PrivateKey) -> bytes:
    return a_certificate(authority, recipient_key.public_key()).public_bytes(Encoding.DER)


def is_there(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def found(linting: LintingProcess, der: bytes) -> tuple[Finding, ...]:
    return linting.findings(der, Purpose.RECIPIENT_ENCRYPTION)


def test_finds_there_what_is_found_here(
    process: LintingProcess, linter: Linter, authority: Authority, recipient_key: PrivateKey, good: bytes
) -> None:
    assert found(process, good) == ()
    throwaway = throwaway_key_like(authority.issuing_key.public_key())
    seen = 0
    prepared = a_prepared_certificate(authority, recipient_key.public_key())
    for mutant in mutants(prepared):
        spoiled = mutant.spoil(prepared)
        try:
            der = _signed(spoiled, throwaway, SignatureScheme.PKCS1).public_bytes(Encoding.DER)
        except ValueError:
            continue  # it cannot even be encoded
        assert process.findings(der, spoiled.purpose) == linter.findings(der, spoiled.purpose)
        seen += 1
    assert seen > 100
    assert is_there(process.pid)


def test_octets_that_are_no_certificate_are_found_wanting(process: LintingProcess, linter: Linter) -> None:
    for octets in (b"", b"\n", b"0\x82", bytes(70_000)):
        assert found(process, octets) == linter.findings(octets, Purpose.RECIPIENT_ENCRYPTION) != ()


def test_many_threads_share_it(process: LintingProcess, good: bytes) -> None:
    broken = good[:-300] + bytes(300)
    with ThreadPoolExecutor(8) as threads:
        every = list(threads.map(lambda n: found(process, broken if n % 2 else good), range(64)))

    assert all(bool(findings) is bool(n % 2) for n, findings in enumerate(every))


def test_a_process_that_was_killed_is_replaced_and_every_certificate_linted(good: bytes) -> None:
    clock = Hours()
    linting = LintingProcess(answers_within=PATIENT, now=clock)
    try:
        assert linting.start(within=PATIENT)
        first = linting.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)

        assert found(linting, good) == ()
        assert found(linting, good[:-300] + bytes(300)) != ()
        assert linting.pid is None  # not at once: what ends again and again is not started again and again

        clock.now += 60
        assert linting.start(within=PATIENT)
        assert linting.pid != first
        assert found(linting, good) == ()
        assert is_there(linting.pid)
    finally:
        linting.stop()


@pytest.mark.parametrize("command", [MUTE, BROKEN, LYING, SILENT, ("/nowhere/at-all",)])
def test_lints_here_what_a_process_does_not_answer(
    command: tuple[str, ...], good: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    linting = LintingProcess(command=command, answers_within=0.5)
    try:
        linting.start(within=PATIENT if command in {LYING, SILENT} else 0.05)

        assert found(linting, good) == ()
        assert found(linting, good[:-300] + bytes(300)) != ()
        if command != MUTE:
            assert linting.pid is None
            assert "process that lints" in caplog.text
    finally:
        linting.stop()


def test_a_stopped_one_leaves_no_process_and_starts_none(good: bytes) -> None:
    linting = LintingProcess()
    assert linting.start(within=PATIENT)
    pid = linting.pid

    linting.stop()

    assert not is_there(pid)
    assert found(linting, good) == ()
    assert linting.pid is None


def test_it_ends_a_mint_that_is_under_way_when_all_are_told_to_stop(
    process: LintingProcess, good: bytes
) -> None:
    pid = process.pid
    assert pid is not None
    os.kill(pid, signal.SIGTERM)

    assert found(process, good) == ()
    assert process.pid == pid


STARTER = """
from directory.linting import LintingProcess

linting = LintingProcess()
assert linting.start(within=60)
print(linting.pid, flush=True)
input()
"""


def test_it_does_not_outlive_whoever_started_it() -> None:
    with subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        watched = os.pidfd_open(int(starter.stdout.readline()))
        starter.kill()

    assert select.select([watched], [], [], PATIENT)[0] == [watched]
    os.close(watched)
