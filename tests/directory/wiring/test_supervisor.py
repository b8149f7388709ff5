"""How workers are started, kept and stopped; in their place are programs that only live and die."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from directory.errors import ConfigurationRefused
from directory.settings import Settings, load_settings
from directory.sockets import take
from directory.wiring import supervisor
from directory.wiring.supervisor import supervise

SOON = 30

SERVES = """
import sys
from directory.wiring.workers import READY, read_orders

orders = read_orders(sys.stdin.buffer)
sys.stdout.buffer.write(READY)
sys.stdout.flush()
"""
UNTIL_TOLD = SERVES + "import signal\nsignal.sigwait([signal.SIGTERM])\n"
BLOCKED = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
STUBBORN = BLOCKED + SERVES + "signal.pause()\n"
UNTIL_LEFT_ALONE = SERVES + "sys.stdin.read()\n"
FAILS_AT = """
import sys
from directory.wiring.workers import read_orders

if read_orders(sys.stdin.buffer).number == {number}:
    sys.exit({code})
"""


class Service:
    """A service whose workers run a program; the addresses are told once all are ready."""

    def __init__(self, settings: Settings, program: str, *, workers: int = 2) -> None:
        self.told: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.task = asyncio.create_task(
            supervise(
                settings,
                None,
                self.told.put_nowait,
                workers=workers,
                command=(sys.executable, "-P", "-c", program),
            )
        )

    async def listening(self) -> dict[str, str]:
        async with asyncio.timeout(SOON):
            return await self.told.get()

    async def exit_code(self) -> int:
        async with asyncio.timeout(SOON):
            return await self.task


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "pushpki.toml"
    listens = [f'[{section}]\nlisten = "127.0.0.1:0"\n' for section in ("http", "ldap", "ldaps")]
    file.write_text(
        '[database]\nurl = "postgresql://pushpki@db/pushpki"\n' + "".join(listens), encoding="utf-8"
    )
    return load_settings(file)


class Said(logging.Handler):
    """Waits until something was logged so many times."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: asyncio.Queue[str] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.put_nowait(record.getMessage())

    async def __call__(self, text: str, *, times: int = 1) -> None:
        async with asyncio.timeout(SOON):
            while times:
                times -= text in await self._lines.get()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Said]:
    caplog.set_level(logging.INFO)
    said = Said()
    supervisor.logger.addHandler(said)
    yield said
    supervisor.logger.removeHandler(said)


async def test_addresses_are_told_once_and_stay_reserved(settings: Settings) -> None:
    service = Service(settings, BLOCKED + UNTIL_TOLD)

    listening = await service.listening()
    port = int(listening["ldap"].rpartition(":")[2])

    assert set(listening) == {"http", "ldap"}
    assert port > 0
    with pytest.raises(OSError, match="in use"):
        take("127.0.0.1", port)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await service.exit_code() == 0
    assert service.told.empty()


@pytest.mark.parametrize("number", [1, 2])
async def test_a_worker_that_does_not_start_ends_the_service_with_its_exit_code(
    settings: Settings, number: int
) -> None:
    program = FAILS_AT.format(number=number, code=78) + UNTIL_LEFT_ALONE.replace(
        "orders = read_orders(sys.stdin.buffer)", ""
    )

    service = Service(settings, program)

    assert await service.exit_code() == 78
    assert service.told.empty()


async def test_a_worker_killed_at_its_start_is_a_failure_too(settings: Settings) -> None:
    service = Service(settings, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")

    assert await service.exit_code() == 70


async def test_a_worker_that_ends_is_replaced_after_a_growing_pause(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, said: Said
) -> None:
    monkeypatch.setattr(supervisor, "_SHORTEST_PAUSE", 0.01)
    program = SERVES + "if orders.number == 2: sys.exit(3)\nsys.stdin.read()\n"
    service = Service(settings, program)
    await service.listening()

    await said("worker 2 has ended: exit code 3", times=3)

    assert caplog.text.count("worker 1 is process") == 1
    assert caplog.text.count("worker 2 is process") >= 3
    os.kill(os.getpid(), signal.SIGINT)
    assert await service.exit_code() == 0


async def test_a_worker_that_does_not_stop_is_killed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "_LONGEST_STOP", 0.1)
    service = Service(settings, STUBBORN)
    await service.listening()

    os.kill(os.getpid(), signal.SIGTERM)

    assert await service.exit_code() == 0
    assert caplog.text.count("did not stop and was killed") == 2


async def test_a_signal_while_workers_start_stops_them(settings: Settings, said: Said) -> None:
    service = Service(settings, "import sys\nsys.stdin.read()\n")
    await said("worker 1 is process")

    os.kill(os.getpid(), signal.SIGTERM)

    assert await service.exit_code() == 0
    assert service.told.empty()


async def test_an_address_in_use_is_refused_before_any_worker_starts(settings: Settings) -> None:
    with take("127.0.0.1", 0) as taken:
        listen = settings.ldap.listen.model_copy(update={"port": taken.getsockname()[1]})
        busy = settings.model_copy(update={"ldap": settings.ldap.model_copy(update={"listen": listen})})

        with pytest.raises(ConfigurationRefused, match=r"ldap\.listen: cannot listen .* in use"):
            await Service(busy, UNTIL_TOLD).exit_code()
