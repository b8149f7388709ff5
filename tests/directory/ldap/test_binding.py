"""What becomes of a bind before the password is looked at."""

import pytest

from directory.ldap.binding import (
    Anonymously,
    Check,
    CheckCertificate,
    Circumstances,
    Protection,
    Refuse,
    Verdict,
    judge_bind,
)
from directory.ldap.codes import ResultCode
from directory.ldap.requests import BindRequest, Sasl
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


# SASL.

CERTIFICATE = bytes(range(32))


def sasl_verdict(
    mechanism: str,
    credentials: bytes | None = None,
    *,
    protection: Protection = TLS,
    peer_address: str = "192.0.2.7",
    client_certificate: bytes | None = None,
) -> Verdict:
    return judge_bind(
        BindRequest(version=3, name="", sasl=Sasl(mechanism=mechanism, credentials=credentials)),
        Circumstances(
            peer_address=peer_address, protection=protection, client_certificate=client_certificate
        ),
        LdapSettings(),
        Tree("o=directory", StartTls.OFFERED),
    )


def plain(authenticated: str = "gw", token: str = TOKEN, authorized: str = "") -> bytes:
    return f"{authorized}\0{authenticated}\0{token}".encode()


@pytest.mark.parametrize(
    "authenticated", ["gw", "GW", "u:gw", f"dn:{BIND_NAME}", BIND_NAME, BIND_NAME.upper()]
)
@pytest.mark.parametrize("authorized", ["", "gw", "u:gw", f"DN:{BIND_NAME}", BIND_NAME])
def test_plain_takes_a_gateways_name_in_any_form(authenticated: str, authorized: str) -> None:
    assert sasl_verdict("PLAIN", plain(authenticated, TOKEN, authorized)) == Check(gateway="gw", token=TOKEN)


@pytest.mark.parametrize(
    "credentials",
    [
        b"",
        b"gw",
        b"\0gw",
        plain(token=""),
        plain(authenticated="o=nowhere"),
        plain(authenticated="dn:nonsense"),
        plain(authorized="another"),
        plain(authorized="dn:cn=gw,ou=people,o=directory"),
        plain() + b"\0more",
        b"\0\xff\0" + TOKEN.encode(),
        b"\0gw\0\xff",
        plain(authenticated="cn=" + "x" * 1000),
    ],
)
def test_plain_credentials_that_are_nobodys_are_as_wrong_as_a_wrong_token(credentials: bytes) -> None:
    assert code(sasl_verdict("PLAIN", credentials)) is ResultCode.INVALID_CREDENTIALS


def test_plain_in_clear_is_refused_before_it_is_looked_at() -> None:
    for credentials in (plain(), b"nonsense", None):
        refused = sasl_verdict("PLAIN", credentials, protection=CLEAR)
        assert code(refused) is ResultCode.CONFIDENTIALITY_REQUIRED
    assert isinstance(sasl_verdict("PLAIN", plain(), protection=CLEAR, peer_address="127.0.0.1"), Check)


def test_there_is_no_second_step() -> None:
    assert code(sasl_verdict("PLAIN")) is ResultCode.UNWILLING_TO_PERFORM


@pytest.mark.parametrize("mechanism", ["", "GSSAPI", "DIGEST-MD5", "SCRAM-SHA-256", "ANONYMOUS"])
def test_other_mechanisms_are_not_supported(mechanism: str) -> None:
    assert code(sasl_verdict(mechanism, b"x")) is ResultCode.AUTH_METHOD_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("authorized", "gateway"), [(None, None), (b"", None), (b"u:GW", "gw"), (BIND_NAME.encode(), "gw")]
)
def test_external_is_to_be_checked_by_the_certificate(authorized: bytes | None, gateway: str | None) -> None:
    verdict = sasl_verdict("external", authorized, client_certificate=CERTIFICATE)

    assert verdict == CheckCertificate(sha256=CERTIFICATE, gateway=gateway)


@pytest.mark.parametrize("authorized", [b"dn:o=nowhere", b"\xff", b"dn:nonsense"])
def test_external_as_nobody_known_is_wrong(authorized: bytes) -> None:
    refused = sasl_verdict("EXTERNAL", authorized, client_certificate=CERTIFICATE)

    assert code(refused) is ResultCode.INVALID_CREDENTIALS


def test_external_without_a_certificate_is_inappropriate() -> None:
    assert code(sasl_verdict("EXTERNAL")) is ResultCode.INAPPROPRIATE_AUTHENTICATION


def test_sasl_of_another_version_is_a_protocol_error() -> None:
    request = BindRequest(version=2, name="", sasl=Sasl(mechanism="PLAIN", credentials=plain()))
    circumstances = Circumstances(peer_address="127.0.0.1", protection=TLS)

    refused = judge_bind(request, circumstances, LdapSettings(), Tree("o=directory", StartTls.OFFERED))

    assert code(refused) is ResultCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("protection", "peer_address", "certificate", "mechanisms"),
    [
        (CLEAR, "192.0.2.7", None, ()),
        (CLEAR, "127.0.0.1", None, ("PLAIN",)),
        (TLS, "192.0.2.7", None, ("PLAIN",)),
        (TLS, "192.0.2.7", CERTIFICATE, ("EXTERNAL", "PLAIN")),
    ],
)
def test_the_mechanisms_depend_on_the_connection(
    protection: Protection, peer_address: str, certificate: bytes | None, mechanisms: tuple[str, ...]
) -> None:
    circumstances = Circumstances(
        peer_address=peer_address, protection=protection, client_certificate=certificate
    )

    assert circumstances.mechanisms(LdapSettings()) == mechanisms


def test_no_representation_shows_sasl_credentials() -> None:
    assert TOKEN not in repr(Sasl(mechanism="PLAIN", credentials=plain()))
