"""`pushpki serve` as a process: what keeps it from starting is one line, and it stops when told to."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.directory.cli.workplace import Workplace

ENDS_WITHIN_SECONDS = 60
PREPARING = {"PUSHPKI_CA__PREPARE_NEXT_DAYS": "365"}
NAMES = ("http port", "ldap port", "ldaps port", "encrypted TLS key", "workers on SQLite")
QUICK = {
    "PUSHPKI_CA__KEY_ALGORITHM": "rsa-2048",
    "PUSHPKI_CA__KEY_POOL_SIZE": "1",
    **{f"PUSHPKI_{section}__LISTEN": "127.0.0.1:0" for section in ("HTTP", "LDAP", "LDAPS")},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What keeps the service from starting, and what must be said about it."""

    variables: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    named: tuple[str, ...]


def start(
    workplace: Workplace, variables: Mapping[str, str], arguments: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "directory", "serve", "--config", str(workplace.config), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **QUICK, **variables},
    )


def encrypt(source: Path, target: Path) -> None:
    key = load_pem_private_key(source.read_bytes(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    target.write_bytes(pem)


@pytest.fixture(scope="module")
def taken() -> Iterator[str]:
    """An address that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def obstacles(
    template: Workplace, taken: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Obstacle]:
    folder = tmp_path_factory.mktemp("obstacles")
    encrypt(template.folder / "tls.key", folder / "encrypted.key")
    in_use = ("Address already in use", "choose another address")
    return {
        "http port": Obstacle(
            variables={"PUSHPKI_HTTP__LISTEN": taken},
            named=("http.listen", taken.rpartition(":")[2], *in_use),
        ),
        "ldap port": Obstacle(
            variables={"PUSHPKI_LDAP__LISTEN": taken}, named=("ldap.listen", taken, *in_use)
        ),
        "ldaps port": Obstacle(
            variables={"PUSHPKI_LDAPS__LISTEN": taken}, named=("ldaps.listen", taken, *in_use)
        ),
        "encrypted TLS key": Obstacle(
            variables={"PUSHPKI_TLS__KEY": str(folder / "encrypted.key")},
            named=("tls.certificate", "encrypted.key", "unencrypted PEM key"),
        ),
        "workers on SQLite": Obstacle(
            arguments=("--workers", "2"), named=("--workers", "not by 2", "move to PostgreSQL")
        ),
    }


@pytest.fixture(scope="module")
def attempts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which every attempt to start has a copy of its own."""
    return tmp_path_factory.mktemp("attempts")


@pytest.fixture(scope="module")
def ended(
    template: Workplace, obstacles: dict[str, Obstacle], attempts: Path
) -> dict[str, tuple[int, str, str]]:
    """How the service ended before each obstacle: exit code, output, errors. All of them at once."""
    processes = {}
    for name, obstacle in obstacles.items():
        shutil.copytree(template.folder, attempts / name)
        copy = Workplace(config=attempts / name / template.config.name)
        processes[name] = start(copy, obstacle.variables, obstacle.arguments)
    results = {}
    for name, process in processes.items():
        out, err = process.communicate(timeout=ENDS_WITHIN_SECONDS)
        results[name] = (process.returncode, out, err)
    return results


@pytest.mark.parametrize("name", NAMES)
def test_what_keeps_it_from_starting_is_one_line(
    ended: dict[str, tuple[int, str, str]], obstacles: dict[str, Obstacle], name: str
) -> None:
    code, out, err = ended[name]

    assert (code, out) == (78, ""), err
    (line,) = [line for line in err.splitlines() if line.startswith("pushpki: ")]
    assert "Traceback" not in err
    assert [word for word in obstacles[name].named if word not in line] == []


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize("name", NAMES)
def test_a_service_that_did_not_start_is_not_on_record_as_started(attempts: Path, name: str) -> None:
    connection = sqlite3.connect(attempts / name / "pushpki.sqlite3")
    with closing(connection):
        kinds = connection.execute("SELECT kind FROM audit_events WHERE kind LIKE 'service.%'").fetchall()

    assert kinds == [("service.initialized",)]


def ending_soon(workplace: Workplace) -> Workplace:
    """Let the issuing CA have little time left, by what is on record: a successor is due."""
    end = f"{datetime.now(UTC) + timedelta(days=740):%Y-%m-%d %H:%M:%S.%f}"
    with closing(sqlite3.connect(workplace.folder / "pushpki.sqlite3")) as connection, connection:
        connection.execute("UPDATE issuers SET not_after = ? WHERE parent_id IS NOT NULL", (end,))
    return workplace


def kinds_on_record(workplace: Workplace) -> list[str]:
    with closing(sqlite3.connect(workplace.folder / "pushpki.sqlite3")) as connection:
        return [kind for (kind,) in connection.execute("SELECT kind FROM audit_events ORDER BY sequence")]


def test_a_service_that_does_not_start_makes_nothing_by_itself(workplace: Workplace, taken: str) -> None:
    before = kinds_on_record(ending_soon(workplace)).count("issuer.created")

    with start(workplace, {**PREPARING, "PUSHPKI_HTTP__LISTEN": taken}) as process:
        _, err = process.communicate(timeout=ENDS_WITHIN_SECONDS)

    assert process.returncode == 78, err
    assert kinds_on_record(workplace).count("issuer.created") == before


def test_nothing_is_made_after_the_stop_that_is_on_record(workplace: Workplace) -> None:
    before = kinds_on_record(ending_soon(workplace))

    with start(workplace, PREPARING) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.terminate()
        _, err = process.communicate(timeout=ENDS_WITHIN_SECONDS)
    assert process.returncode == 0, err

    since = kinds_on_record(workplace)[len(before) :]
    assert "issuer.created" not in since[since.index("service.stopped") :]


def test_a_second_service_of_the_same_name_does_not_start(workplace: Workplace) -> None:
    with start(workplace, {}) as first:
        assert first.stdout is not None
        assert first.stdout.readline()
        with start(workplace, {}) as second:
            _, err = second.communicate(timeout=ENDS_WITHIN_SECONDS)
        first.terminate()
        assert first.wait(timeout=ENDS_WITHIN_SECONDS) == 0

    assert second.returncode == 78
    assert "service.node: a service of the name 'node-1' is running on this database" in err


def test_a_second_service_started_by_mistake_leaves_the_mails_of_the_first_alone(
    workplace: Workplace, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")
    workplace.document("lookup", "anna@example.org", "--gateway", "gw")
    claim = ("node-1", "2999-01-01 00:00:00.000000")
    connection = sqlite3.connect(workplace.folder / "pushpki.sqlite3")
    with connection:
        connection.execute("UPDATE outgoing_mail SET claimed_by = ?, claimed_until = ?", claim)

    with start(workplace, {"PUSHPKI_HTTP__LISTEN": taken}) as process:
        process.communicate(timeout=ENDS_WITHIN_SECONDS)

    assert process.returncode == 78
    assert connection.execute("SELECT claimed_by, claimed_until FROM outgoing_mail").fetchall() == [claim]
    connection.close()


def test_says_where_it_listens_and_stops_at_control_c(workplace: Workplace) -> None:
    with start(workplace, {}) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=ENDS_WITHIN_SECONDS) == 0, process.stderr.read()
        assert "Traceback" not in process.stderr.read()

    assert line.startswith("Listening: http on 127.0.0.1:")
    assert "ldap on 127.0.0.1:" in line
    assert "ldaps on 127.0.0.1:" in line
    assert workplace.document("verify") == {"violations": []}
