"""Both load clients, in C and in Python, against the LDAP front end itself."""

import shutil
from pathlib import Path

import pytest

from bench import ldap_load
from bench.gateways import bind_request, search_request
from bench.ldap_front_end import CERTIFICATE, front_end
from bench.ldap_load import Exchange, Load, put_load
from bench.premises import PremiseBroken

SECONDS = 0.2


@pytest.fixture(params=["C", "Python"], autouse=True)
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    language: str = request.param
    if language == "C" and shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    if language == "Python":
        monkeypatch.setenv("PATH", str(tmp_path))  # where there is no compiler
    monkeypatch.setattr(ldap_load, "WARM_UP_SECONDS", 0.1)
    return language


def load(port: int, expected: bytes) -> Load:
    exchange = Exchange(request=search_request("anna@example.com"), expected=expected)
    return Load(port=port, connections=4, bind=bind_request("anything"), exchanges=[exchange])


def test_answers_are_counted(client: str, tmp_path: Path) -> None:
    with front_end() as (server, port):
        row = put_load(load(port, CERTIFICATE), seconds=SECONDS, folder=tmp_path, server=server)

    assert float(row["lookups/s"]) > 0
    assert float(row["p50 ms"]) <= float(row["p99 ms"]) <= float(row["max ms"])
    assert client in str(row["client"])


def test_an_unexpected_certificate_ends_the_run(tmp_path: Path) -> None:
    with front_end() as (server, port), pytest.raises(PremiseBroken, match="the address asked"):
        put_load(load(port, b"another certificate"), seconds=SECONDS, folder=tmp_path, server=server)
