"""Issuers that are not what they should be keep the service from starting, in one line."""

import shutil
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from tests.command import pushpki

SPOILT = {
    "UPDATE issuers SET der = x'00' WHERE purpose = 'issuing-ca'": "its certificate cannot be read",
    "UPDATE issuers SET der = x'00' WHERE purpose = 'root-ca'": "its certificate cannot be read",
    "UPDATE issuers SET der = (SELECT der FROM issuers AS other WHERE other.purpose = 'root-ca') "
    "WHERE purpose = 'issuing-ca'": "its certificate is another one's",
    "UPDATE issuers SET parent_id = id WHERE purpose = 'issuing-ca'": "the issuer above it is missing",
    "UPDATE issuers SET parent_id = 'nobody' WHERE purpose = 'issuing-ca'": "the issuer above it is missing",
    "UPDATE issuers SET parent_id = (SELECT id FROM issuers AS other WHERE other.purpose = 'issuing-ca') "
    "WHERE purpose = 'root-ca'": "the issuer above it did not sign its certificate",
    "UPDATE issuers SET purpose = 'nonsense'": "the issuers cannot be read",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "pushpki"
    return Path(pushpki("init", "--dir", str(folder), "--json").document["configuration"])


@pytest.fixture
def config(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound.parent, tmp_path / "pushpki")
    return tmp_path / "pushpki" / sound.name


@pytest.mark.parametrize("statement", SPOILT)
@pytest.mark.parametrize("command", [("serve",), ("ca", "crl", "issue"), ("cps",)], ids=" ".join)
def test_they_are_refused_in_one_line(config: Path, statement: str, command: tuple[str, ...]) -> None:
    with closing(connect(config.parent / "pushpki.sqlite3")) as connection, connection:
        connection.execute(statement)

    done = pushpki(*command, "--config", str(config))

    assert done.code != 0
    (line,) = [line for line in done.err.splitlines() if line.startswith("pushpki: ")]
    assert SPOILT[statement] in line
    assert "Traceback" not in done.err
