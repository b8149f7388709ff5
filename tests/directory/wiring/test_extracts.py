"""What of the configuration reaches each part of the service."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from ca.hierarchy import create_tls_server
from ca.linting import Linter
from directory.access import AnonymousRead, MetricsAccess
from directory.errors import ConfigurationRefused
from directory.ldap.settings import AttributeNames, ClearCredentials, Presentation, SmimeForm
from directory.settings import Settings, load_settings
from directory.wiring import extracts

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, linter: Linter) -> Path:
    """A folder with a TLS certificate, its key, and the key encrypted."""
    certificate, key = create_tls_server(["localhost"], NOW, linter)
    (tmp_path / "tls.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    for name, encryption in (
        ("tls.key", NoEncryption()),
        ("encrypted.key", BestAvailableEncryption(b"secret")),
    ):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        (tmp_path / name).write_bytes(pem)
    return tmp_path


def settings(folder: Path, text: str = "") -> Settings:
    file = folder / "pushpki.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file)


def test_the_front_ends_are_told_who_may_read_and_send_credentials(tmp_path: Path) -> None:
    strict = settings(
        tmp_path,
        """
        [directory]
        suffix = "dc=example,dc=org"
        anonymous_read = "nobody"
        credentials_in_clear_from_loopback = false
        """,
    )

    ldap, http = extracts.ldap_settings(strict), extracts.http_settings(strict)

    assert (ldap.suffix, ldap.anonymous_read) == ("dc=example,dc=org", AnonymousRead.NOBODY)
    assert ldap.clear_credentials is ClearCredentials.NOBODY
    assert http.anonymous_read is AnonymousRead.NOBODY
    assert http.credentials_in_clear_from_loopback is False
    assert extracts.ldap_settings(settings(tmp_path)).clear_credentials is ClearCredentials.LOOPBACK


def test_ldap_waits_a_little_longer_than_the_mint(tmp_path: Path) -> None:
    patient = settings(tmp_path, "[mint]\npatience_seconds = 1.5")

    assert 1.5 < extracts.ldap_settings(patient).answer_within <= 2


def test_requests_may_name_this_machine_the_public_names_and_those_allowed(tmp_path: Path) -> None:
    named = settings(
        tmp_path,
        """
        [ca]
        public_url = "http://pki.hospital.org/x"
        [http]
        listen = "10.0.0.1:8080"
        allowed_hosts = ["Directory.Hospital.org"]
        [pages]
        url = "https://keys.hospital.org:8443/x"
        """,
    )

    assert extracts.http_settings(named).allowed_hosts == {
        *("localhost", "127.0.0.1", "::1", "10.0.0.1"),
        *("pki.hospital.org", "keys.hospital.org", "directory.hospital.org"),
    }


def test_metrics_are_this_machines_own_unless_the_operator_says_otherwise(tmp_path: Path) -> None:
    assert extracts.http_settings(settings(tmp_path)).metrics is MetricsAccess.LOOPBACK
    open_to_all = settings(tmp_path, '[http]\nmetrics = "anyone"')
    assert extracts.http_settings(open_to_all).metrics is MetricsAccess.ANYONE


@pytest.mark.parametrize("seconds", [0.5, 10, 60, 3600])
def test_a_smart_host_has_rested_when_its_mail_comes_back(tmp_path: Path, seconds: float) -> None:
    delivery = extracts.delivery_settings(
        settings(tmp_path, f"[delivery]\nfirst_retry_seconds = {seconds}\nhold_days = 3")
    )

    assert delivery.backoff.shortest == timedelta(seconds=seconds)
    assert delivery.host_rest < delivery.backoff.shortest
    assert delivery.hold == timedelta(days=3)


def test_the_defaults_of_delivery_are_its_own(tmp_path: Path) -> None:
    ours = extracts.delivery_settings(settings(tmp_path))

    assert ours == type(ours)()


TLS = '[tls]\ncertificate = "tls.crt"\nkey = "{key}"\n'


def test_tls_is_1_2_or_newer_with_forward_secrecy(folder: Path) -> None:
    context = extracts.ldap_tls(settings(folder, TLS.format(key="tls.key")))

    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    ciphers = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.2"}
    assert ciphers
    assert [name for name in ciphers if not name.startswith("ECDHE-")] == []


def test_without_a_certificate_there_is_no_tls(tmp_path: Path) -> None:
    assert extracts.ldap_tls(settings(tmp_path)) is None
    assert extracts.http_tls(settings(tmp_path)) is None


def test_https_is_spoken_only_where_it_is_switched_on(folder: Path) -> None:
    both = TLS.format(key="tls.key")

    assert extracts.http_tls(settings(folder, both)) is None
    switched_on = extracts.http_tls(settings(folder, f"{both}[http]\ntls = true"))
    assert switched_on is not None
    assert switched_on.key == folder / "tls.key"


@pytest.mark.parametrize(
    ("text", "key", "named"),
    [
        ("[http]\ntls = true", "http.tls", "tls.certificate"),
        ('[tls]\ncertificate = "tls.crt"', "tls.key", "tls.certificate"),
        ('[tls]\nkey = "tls.key"', "tls.certificate", "tls.key"),
        (TLS.format(key="missing.key"), "tls.certificate", "missing.key"),
        (TLS.format(key="tls.crt"), "tls.certificate", "tls.crt"),
        (TLS.format(key="encrypted.key"), "tls.certificate", "unencrypted"),
    ],
)
def test_tls_files_that_cannot_be_used_are_named(folder: Path, text: str, key: str, named: str) -> None:
    configured = settings(folder, text)

    def both() -> None:
        extracts.ldap_tls(configured)
        extracts.http_tls(configured)

    with pytest.raises(ConfigurationRefused) as refused:
        both()

    assert refused.value.key == key
    assert named in str(refused.value)


def test_clients_are_asked_for_a_certificate_where_it_can_be_judged(folder: Path) -> None:
    certificate = TLS.format(key="tls.key")
    plain = extracts.ldap_tls(settings(folder, certificate))
    asking = extracts.ldap_tls(settings(folder, f'{certificate}[ldap]\nclient_ca_file = "tls.crt"'))

    assert plain is not None
    assert asking is not None
    assert plain.verify_mode is ssl.CERT_NONE
    assert asking.verify_mode is ssl.CERT_OPTIONAL
    assert asking.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN


@pytest.mark.parametrize("file", ["tls.key", "absent.pem"])
def test_what_clients_should_chain_to_must_be_certificates(folder: Path, file: str) -> None:
    text = TLS.format(key="tls.key") + f'[ldap]\nclient_ca_file = "{file}"'

    with pytest.raises(ConfigurationRefused) as refused:
        extracts.ldap_tls(settings(folder, text))

    assert refused.value.key == "ldap.client_ca_file"


def test_the_limits_of_the_ldap_front_end_can_be_set(tmp_path: Path) -> None:
    text = """
        [ldap]
        idle_seconds = 5
        idle_gateway_seconds = 6
        message_seconds = 7
        connections = 8
        connections_per_address = 9
        """
    ldap = extracts.ldap_settings(settings(tmp_path, text))

    assert (ldap.idle, ldap.idle_gateway, ldap.message) == (5, 6, 7)
    assert (ldap.connections, ldap.connections_per_peer) == (8, 9)
    ours = extracts.ldap_settings(settings(tmp_path))
    assert (ours.idle, ours.idle_gateway, ours.message) == (60, 900, 20)


def test_entries_are_shown_as_the_standards_have_it_unless_somebody_says_otherwise(folder: Path) -> None:
    assert extracts.ldap_settings(settings(folder)).presentation == Presentation()

    active_directory = '[ldap]\nplain_attribute_names = true\nsmime_attribute = "der"\n'
    assert extracts.ldap_settings(settings(folder, active_directory)).presentation == Presentation(
        names=AttributeNames.PLAIN, smime=SmimeForm.DER
    )
