"""Keys that were made in advance: stored by a command, used after a restart, each once whatever happens."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import select

from ca.keys import key_hash
from directory.settings import load_settings
from directory.store.opening import open_database
from directory.store.tables import pooled_keys
from tests.contracts.world import Store
from tests.databases import PATIENT, Databases
from tests.gateways import look_up, metrics_page
from tests.postbox import Postbox, postbox
from tests.service import Installed, Running, install, serving, succeed

STORED = 6


@pytest.fixture(scope="module")
def mail() -> Iterator[Postbox]:
    with postbox() as box:
        yield box


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the command and the service are told alike."""
    for key, value in {
        "KEY_ALGORITHM": "rsa-2048",
        "KEY_POOL_SIZE": "2",
        "KEY_POOL_PERSISTED": str(STORED),
        "KEY_POOL_LEDGER": str(tmp_path / "pool.ledger"),
    }.items():
        monkeypatch.setenv(f"PUSHPKI_CA__{key}", value)


@pytest.fixture(params=["sqlite", "postgresql"])
def installed(
    request: pytest.FixtureRequest, tmp_path: Path, mail: Postbox, databases: Databases
) -> Installed:
    database = databases.empty("postgresql") if request.param == "postgresql" else None
    return install(tmp_path / "pushpki", smtp=mail.smtp, database=database)


def stored_keys(installed: Installed) -> set[bytes]:
    async def read() -> set[bytes]:
        url = load_settings(installed.config).database.url
        database = open_database(url, limits=PATIENT)
        try:
            rows = await Store(url=url, database=database).select(select(pooled_keys.c.key_sha256))
        finally:
            await database.close()
        return {key for (key,) in rows}

    return asyncio.run(read())


def key_of(running: Running, address: str) -> bytes:
    (der,) = look_up(running, address)
    return key_hash(x509.load_der_x509_certificate(der).public_key())


def test_what_was_stored_is_used_after_a_restart_and_after_a_crash_and_never_twice(
    installed: Installed,
) -> None:
    succeed("ca", "pool", "fill", "--until", str(STORED), "--config", str(installed.config))
    stored = stored_keys(installed)
    assert len(stored) == STORED

    with serving(installed) as running:
        first = key_of(running, "first@example.com")
        metrics = metrics_page(running)
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
    after_the_crash = stored_keys(installed)
    with serving(installed) as running:
        second = key_of(running, "second@example.com")

    assert first in stored
    assert first not in after_the_crash
    assert second in after_the_crash
    assert {first, second}.isdisjoint(stored_keys(installed))
    assert 'pushpki_key_pool_stored_keys{algorithm="rsa-2048"}' in metrics
    assert 'pushpki_key_pool_keys{algorithm="rsa-2048"}' in metrics
    assert succeed("verify", "--config", str(installed.config)) == {"violations": []}
