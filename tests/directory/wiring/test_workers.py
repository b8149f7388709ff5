"""What each worker is told, and which part of the machine is its own."""

import io
import pickle
from pathlib import Path

import pytest

from directory.errors import ConfigurationRefused
from directory.settings import ListenAddress, Settings, load_settings
from directory.wiring.addresses import FrontEnd, settled
from directory.wiring.workers import WorkerOrders, orders_for, read_orders, refuse_workers

POSTGRESQL = '[database]\nurl = "postgresql://pushpki@db/pushpki"\n'


def settings(folder: Path, text: str = "") -> Settings:
    file = folder / "pushpki.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file)


def orders(folder: Path, text: str = "", *, number: int = 1, workers: int = 2) -> WorkerOrders:
    return orders_for(settings(folder, text), None, number=number, workers=workers)


def test_each_worker_has_a_name_of_its_own_that_no_node_can_have(tmp_path: Path) -> None:
    names = [orders(tmp_path, number=number).settings.service.node for number in (1, 2)]

    assert names == ["node-1/1", "node-1/2"]
    with pytest.raises(ConfigurationRefused, match=r"service\.node"):
        settings(tmp_path, '[service]\nnode = "node-1/1"\n')


def test_the_longest_name_of_a_worker_fits_its_column(tmp_path: Path) -> None:
    named = orders(tmp_path, f'[service]\nnode = "{60 * "n"}"\n', number=64, workers=64)

    assert len(named.settings.service.node) <= 64


@pytest.mark.parametrize(("size", "workers", "share"), [(64, 2, 32), (64, 3, 22), (1, 4, 1), (0, 4, 0)])
def test_the_pool_of_keys_is_shared_out(tmp_path: Path, size: int, workers: int, share: int) -> None:
    told = orders(tmp_path, f"[ca]\nkey_pool_size = {size}\n", workers=workers)

    assert told.settings.ca.key_pool_size == share


@pytest.mark.parametrize(("low", "workers", "share"), [(32, 2, 16), (63, 3, 21), (3, 4, 0)])
def test_its_low_watermark_is_shared_out_and_stays_below_the_high_one(
    tmp_path: Path, low: int, workers: int, share: int
) -> None:
    told = orders(tmp_path, f"[ca]\nkey_pool_size = 64\nkey_pool_low = {low}\n", workers=workers)

    assert told.settings.ca.key_pool_low == share < told.settings.ca.key_pool_size


@pytest.mark.parametrize(("threads", "workers", "share"), [(8, 2, 4), (3, 2, 1), (1, 4, 1)])
def test_its_threads_are_shared_out_but_for_the_last(
    tmp_path: Path, threads: int, workers: int, share: int
) -> None:
    told = orders(tmp_path, f"[ca]\nkey_pool_threads = {threads}\n", workers=workers)

    assert told.settings.ca.key_pool_threads == share


def test_orders_arrive_as_they_were_given_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = {FrontEnd.LDAP: ListenAddress(host="127.0.0.1", port=3891)}
    given = orders_for(settled(settings(tmp_path), listening), b"secret", number=2, workers=2)
    monkeypatch.setenv("PUSHPKI_LDAP__LISTEN", "127.0.0.1:0")

    arrived = read_orders(io.BytesIO(given.encoded()))

    assert arrived == given
    assert arrived.settings.ldap.listen.port == 3891


def test_orders_do_not_show_the_passphrase(tmp_path: Path) -> None:
    given = orders_for(settings(tmp_path), b"correct horse", number=1, workers=1)

    assert "correct horse" not in repr(given)


def test_anything_else_than_orders_is_refused() -> None:
    with pytest.raises(TypeError, match="nobody else"):
        read_orders(io.BytesIO(pickle.dumps({"number": 1})))


def test_sqlite_is_served_by_one_process(tmp_path: Path) -> None:
    on_sqlite = settings(tmp_path)

    refuse_workers(on_sqlite, 1)
    with pytest.raises(ConfigurationRefused, match=r"--workers: .* move to PostgreSQL \(database\.url\)"):
        refuse_workers(on_sqlite, 2)
    refuse_workers(settings(tmp_path, POSTGRESQL), 2)
