"""Both load clients, in C and in Python, against the LDAP front end itself."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import ldap_load
from bench.gateways import bind_request, search_request
from bench.ldap_front_end import CERTIFICATE, front_end
from bench.ldap_load import Exchange, Load, ask_at_random, ask_each, ask_over_every, write_exchanges
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


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[int, int]]:
    with front_end() as server_and_port:
        yield server_and_port


def load(served: tuple[int, int], folder: Path, *expected: bytes) -> Load:
    server, port = served
    asked = [Exchange(request=search_request("anna@example.com"), expected=one) for one in expected]
    return Load(
        port=port,
        connections=4,
        bind=bind_request("anything"),
        exchanges=write_exchanges(asked, folder / "asked"),
        server=server,
    )


def test_answers_are_counted(served: tuple[int, int], client: str, tmp_path: Path) -> None:
    carried = ask_at_random(load(served, tmp_path, CERTIFICATE), seconds=SECONDS, folder=tmp_path)

    assert carried.answers > 0
    assert carried.per_second == pytest.approx(carried.answers / carried.seconds)
    assert carried.p50 <= carried.p90 <= carried.p99 <= carried.longest
    assert client in str(carried.cells()["client"])


def test_the_histogram_counts_every_answer_under_a_limit_not_above_twice_the_longest(
    served: tuple[int, int], tmp_path: Path
) -> None:
    carried = ask_at_random(load(served, tmp_path, CERTIFICATE), seconds=SECONDS, folder=tmp_path)
    limits = [limit for limit, _ in carried.histogram]

    assert sum(count for _, count in carried.histogram) == carried.answers
    assert limits == sorted(limits)
    assert carried.longest <= limits[-1] * 1.001 < 2.1 * carried.longest


def test_each_search_is_asked_as_often_as_there_are_passes(served: tuple[int, int], tmp_path: Path) -> None:
    carried = ask_each(load(served, tmp_path, *[CERTIFICATE] * 7), passes=3, folder=tmp_path)

    assert carried.answers == 21
    assert carried.fewest <= 21 / 4 <= carried.most


def test_each_search_is_asked_over_every_connection(served: tuple[int, int], tmp_path: Path) -> None:
    carried = ask_over_every(load(served, tmp_path, *[CERTIFICATE] * 7), folder=tmp_path)

    assert (carried.answers, carried.fewest, carried.most) == (28, 7, 7)


def test_fewer_searches_than_connections_leave_connections_idle(
    served: tuple[int, int], tmp_path: Path
) -> None:
    carried = ask_each(load(served, tmp_path, CERTIFICATE), passes=1, folder=tmp_path)

    assert (carried.answers, carried.fewest, carried.most) == (1, 0, 1)


@pytest.mark.parametrize("unexpected", [b"another certificate", CERTIFICATE[:-1], b"\x00" + CERTIFICATE])
def test_an_unexpected_certificate_ends_the_run(
    served: tuple[int, int], unexpected: bytes, tmp_path: Path
) -> None:
    with pytest.raises(PremiseBroken, match="the address asked"):
        ask_at_random(load(served, tmp_path, unexpected), seconds=SECONDS, folder=tmp_path)


def test_the_token_in_the_bind_request_is_readable_by_its_owner_alone(
    served: tuple[int, int], tmp_path: Path
) -> None:
    ask_each(load(served, tmp_path, CERTIFICATE), passes=1, folder=tmp_path)

    assert (tmp_path / "bind").stat().st_mode & 0o077 == 0
