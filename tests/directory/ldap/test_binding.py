"""What becomes of a bind before the password is looked at."""

import pytest

from directory.ldap.binding import (
    Anonymously,
    Check,
    Circumstances,
    Protection,
    Refuse,
    Verdict,
    judge_bind,
)
from directory.ldap.codes import ResultCode
from directory.ldap.requests import BindRequest
from directory.ldap.settings import ClearCredentials, LdapSettings, StartTls
from directory.ldap.tree import Tree
from tests.directory.ldap.memory import BIND_NAME, TOKEN

CLEAR, TLS = Protection.NONE, Protection.TLS


def verdict(
    name: str = BIND_NAME,
    password: bytes | None = TOKEN.encode(),
    *,
    version: int = 3,
    peer_address: str = "192.0.2.7",
    protection: Protection = TLS,
    clear_credentials: ClearCredentials = ClearCredentials.LOOPBACK,
) -> Verdict:
    return judge_bind(
        BindRequest(version=version, name=name, password=password),
        Circumstances(peer_address=peer_address, protection=protection),
        LdapSettings(clear_credentials=clear_credentials),
        Tree("o=directory", StartTls.OFFERED),
    )


def code(verdict: Verdict) -> ResultCode:
    assert isinstance(verdict, Refuse)
    return verdict.result.code


def test_a_gateways_name_and_token_are_to_be_checked() -> None:
    assert verdict() == Check(gateway="gw", token=TOKEN)


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(verdict())


def test_no_name_and_no_password_is_anonymous() -> None:
    assert verdict("", b"", protection=CLEAR) == Anonymously()


def test_a_name_without_a_password_is_not_a_login() -> None:
    assert code(verdict(password=b"")) is ResultCode.UNWILLING_TO_PERFORM


@pytest.mark.parametrize("version", [0, 1, 2, 4, 127])
def test_other_versions_are_a_protocol_error(version: int) -> None:
    assert code(verdict(version=version)) is ResultCode.PROTOCOL_ERROR


def test_other_methods_than_simple_are_not_supported() -> None:
    assert code(verdict("", None)) is ResultCode.AUTH_METHOD_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("", b"token"),
        ("o=directory", b"token"),
        ("cn=gw,ou=people,o=directory", b"token"),
        ("cn=gw,ou=gateways,dc=example", b"token"),
        ("not a name", b"token"),
        (BIND_NAME, b"\xff"),
    ],
)
def test_a_name_no_gateway_has_is_as_wrong_as_a_wrong_token(name: str, password: bytes) -> None:
    assert code(verdict(name, password)) is ResultCode.INVALID_CREDENTIALS


@pytest.mark.parametrize("name", [BIND_NAME, "o=nowhere", "not a name"])
def test_credentials_in_clear_from_elsewhere_are_refused_before_they_are_looked_at(name: str) -> None:
    assert code(verdict(name, protection=CLEAR)) is ResultCode.CONFIDENTIALITY_REQUIRED
    assert code(verdict(name, b"\xff", protection=CLEAR)) is ResultCode.CONFIDENTIALITY_REQUIRED


@pytest.mark.parametrize("peer_address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_credentials_in_clear_from_this_machine_depend_on_the_switch(peer_address: str) -> None:
    accepted = verdict(protection=CLEAR, peer_address=peer_address)
    refused = verdict(protection=CLEAR, peer_address=peer_address, clear_credentials=ClearCredentials.NOBODY)

    assert isinstance(accepted, Check)
    assert code(refused) is ResultCode.CONFIDENTIALITY_REQUIRED
