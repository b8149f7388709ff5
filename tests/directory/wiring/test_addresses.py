"""Where the front ends listen: all of the addresses, or none."""

import socket
from functools import partial
from pathlib import Path

import pytest

from directory.errors import ConfigurationRefused
from directory.settings import Settings, load_settings
from directory.sockets import Sharing, take
from directory.wiring import addresses
from directory.wiring.addresses import FrontEnd

CERTIFICATE = '[tls]\ncertificate = "tls.crt"\nkey = "tls.key"\n'
ANYWHERE = "".join(f'[{name}]\nlisten = "127.0.0.1:0"\n' for name in ("http", "ldap", "ldaps"))
BOUNCES = '[bounces]\nlisten = "127.0.0.1:0"\n'


def settings(folder: Path, text: str = ANYWHERE) -> Settings:
    file = folder / "pushpki.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file)


def test_ldaps_is_served_where_there_is_a_certificate(tmp_path: Path) -> None:
    with addresses.taken(settings(tmp_path), take) as without:
        assert set(without) == {FrontEnd.HTTP, FrontEnd.LDAP}
    with addresses.taken(settings(tmp_path, ANYWHERE + CERTIFICATE), take) as with_certificate:
        assert set(with_certificate) == {FrontEnd.HTTP, FrontEnd.LDAP, FrontEnd.LDAPS}


def test_bounces_are_taken_only_where_an_address_is_given(tmp_path: Path) -> None:
    with addresses.taken(settings(tmp_path, ANYWHERE + BOUNCES), take) as with_bounces:
        assert set(with_bounces) == {FrontEnd.HTTP, FrontEnd.LDAP, FrontEnd.BOUNCES}


def test_what_port_0_found_is_told_and_can_be_settled_on(tmp_path: Path) -> None:
    configured = settings(tmp_path)
    with addresses.taken(configured, take) as sockets:
        listening = addresses.found(configured, sockets)

    port = listening[FrontEnd.LDAP].port
    assert port > 0
    assert addresses.as_document(listening)["ldap"] == f"127.0.0.1:{port}"
    assert addresses.settled(configured, listening).ldap.listen.port == port
    assert configured.ldap.listen.port == 0


def test_if_one_address_cannot_be_taken_none_is(tmp_path: Path) -> None:
    taken: list[socket.socket] = []

    def remembering(host: str, port: int) -> socket.socket:
        taken.append(take(host, port))
        return taken[-1]

    with socket.create_server(("127.0.0.1", 0)) as other:
        text = ANYWHERE.replace(
            '[ldap]\nlisten = "127.0.0.1:0"', f'[ldap]\nlisten = "127.0.0.1:{other.getsockname()[1]}"'
        )
        with (
            pytest.raises(
                ConfigurationRefused, match=r"ldap\.listen: cannot listen on .*Address already in use"
            ),
            addresses.taken(settings(tmp_path, text), remembering),
        ):
            pass

    assert [one.fileno() for one in taken] == [-1]


def test_workers_take_the_same_address(tmp_path: Path) -> None:
    shared = partial(take, sharing=Sharing.WORKERS)
    configured = settings(tmp_path)
    with addresses.taken(configured, shared) as first:
        settled = addresses.settled(configured, addresses.found(configured, first))
        with addresses.taken(settled, shared) as second:
            assert addresses.found(settled, second) == addresses.found(configured, first)
