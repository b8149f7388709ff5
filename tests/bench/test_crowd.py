"""Idle and slow clients, against the LDAP front end itself."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.crowd import allow_open_files, idle_crowd, of_connections, slow_crowd
from bench.gateways import bind_request, search_request
from bench.ldap_front_end import CERTIFICATE, front_end
from bench.ldap_load import Exchange, Load, ask_each, write_exchanges
from bench.premises import NotInstalled, PremiseBroken

needs_a_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    asked = [Exchange(request=search_request("anna@example.com"), expected=CERTIFICATE)]
    with front_end() as (server, port):
        yield Load(
            port=port,
            connections=20,
            bind=bind_request("anything"),
            exchanges=write_exchanges(asked, tmp_path_factory.mktemp("crowd") / "asked"),
            server=server,
        )


@needs_a_compiler
def test_every_idle_connection_is_answered_at_the_end(load: Load, tmp_path: Path) -> None:
    with idle_crowd(load, tmp_path) as crowd:
        dispersed = crowd.disperse()

    assert (dispersed.connections, dispersed.answered, dispersed.ended) == (20, 20, 0)


@needs_a_compiler
def test_slow_clients_get_their_answers_while_others_are_served(load: Load, tmp_path: Path) -> None:
    with slow_crowd(load, tmp_path, milliseconds_per_octet=0.5) as crowd:
        ask_each(of_connections(load, 2), passes=2_000, folder=tmp_path)
        dispersed = crowd.disperse()

    assert dispersed.octets > 0
    assert dispersed.ended == 0


@needs_a_compiler
def test_a_crowd_that_cannot_bind_is_no_crowd(tmp_path: Path, load: Load) -> None:
    refused = Load(
        port=load.port, connections=1, bind=b"\x30\x00", exchanges=load.exchanges, server=load.server
    )

    with pytest.raises(PremiseBroken, match="connect and bind"), idle_crowd(refused, tmp_path):
        pass


def test_without_a_compiler_there_is_no_crowd(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NotInstalled, match="C compiler"), idle_crowd(load, tmp_path):
        pass


def test_more_open_files_than_the_machine_allows_are_refused() -> None:
    with pytest.raises(PremiseBroken, match="ulimit -Hn"):
        allow_open_files(1 << 40)
