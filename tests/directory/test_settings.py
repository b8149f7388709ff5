from ipaddress import ip_network
from pathlib import Path

import pytest

from ca.keys import KeyAlgorithm
from directory.access import AnonymousRead
from directory.errors import ConfigurationRefused
from directory.settings import (
    DEFAULT_FILE,
    ListenAddress,
    Settings,
    configuration_file,
    load_settings,
    read_secret_file,
)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    import os  # noqa: PLC0415 - only this fixture touches the environment

    for variable in list(os.environ):
        if variable.startswith("PUSHPKI_"):
            monkeypatch.delenv(variable)


def written(folder: Path, text: str) -> Path:
    file = folder / "pushpki.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(file: Path) -> ConfigurationRefused:
    with pytest.raises(ConfigurationRefused) as refused:
        load_settings(file)
    return refused.value


def test_an_empty_file_gives_the_safe_defaults(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, ""))

    listens = [settings.http.listen, settings.ldap.listen, settings.ldaps.listen]
    assert [str(one) for one in listens] == ["127.0.0.1:8080", "127.0.0.1:3890", "127.0.0.1:6360"]
    assert all(one.is_loopback for one in listens)
    assert settings.directory.anonymous_read is AnonymousRead.LOOPBACK
    assert settings.delivery.allow_clear_beyond_loopback is False
    assert settings.ca.key_algorithm is KeyAlgorithm.RSA_3072


def test_no_default_is_a_secret() -> None:
    names = [
        f"{section}.{key}"
        for section, field in Settings.model_fields.items()
        for key in field.get_default().__class__.model_fields
    ]

    secret_words = ("password", "secret", "token", "passphrase", "pin")
    holders = [name for name in names if any(word in name for word in secret_words)]
    assert holders == [
        "database.password_file",
        "master_key.passphrase_file",
        "pkcs11.pin_file",
    ]


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, '[master_key]\nfile = "secrets/master.key"\npassphrase_file = "/run/p"\n')

    settings = load_settings(file)

    assert settings.master_key.file == tmp_path / "secrets/master.key"
    assert settings.master_key.passphrase_file == Path("/run/p")
    assert settings.database.url == f"sqlite:///{tmp_path}/pushpki.sqlite3"


def test_an_absolute_database_path_stays(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, '[database]\nurl = "sqlite:////var/lib/p.sqlite3"\n'))

    assert settings.database.url == "sqlite:////var/lib/p.sqlite3"


def test_a_postgresql_url_stays(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, '[database]\nurl = "postgresql://pushpki@db/pushpki"\n'))

    assert settings.database.url == "postgresql://pushpki@db/pushpki"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("key_pool_size = 4\nkey_pool_low = 4", "ca.key_pool_low"),
        ("key_pool_size = 0\nkey_pool_low = 1", "ca.key_pool_low"),
        ('key_pool_size = 0\nkey_pool_persisted = 1\nkey_pool_ledger = "l"', "ca.key_pool_persisted"),
        ("key_pool_persisted = 1", "ca.key_pool_ledger"),
    ],
)
def test_numbers_of_the_key_pool_that_contradict_each_other_are_refused(
    tmp_path: Path, text: str, key: str
) -> None:
    assert refusal(written(tmp_path, f"[ca]\n{text}\n")).key == key


def test_the_key_pool_may_be_told_all_of_it(tmp_path: Path) -> None:
    text = 'key_pool_size = 4\nkey_pool_low = 3\nkey_pool_persisted = 9\nkey_pool_ledger = "pool.ledger"'

    ca = load_settings(written(tmp_path, f"[ca]\n{text}\n")).ca

    assert (ca.key_pool_low, ca.key_pool_persisted) == (3, 9)
    assert ca.key_pool_ledger == tmp_path / "pool.ledger"


def test_the_environment_wins_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPKI_LIMITS__RECIPIENT_PER_DAY", "7")

    limits = load_settings(written(tmp_path, "[limits]\ngateway_burst = 11\n")).limits

    assert (limits.gateway_burst, limits.recipient_per_day) == (11, 7)


@pytest.mark.parametrize(
    ("variable", "value", "section", "key", "expected"),
    [
        ("PUSHPKI_LDAP__LISTEN", "[::1]:389", "ldap", "listen", ListenAddress(host="::1", port=389)),
        ("PUSHPKI_HTTP__TLS", "true", "http", "tls", True),
        (
            "PUSHPKI_HTTP__ALLOWED_HOSTS",
            "a.example.com, B.example.com",
            "http",
            "allowed_hosts",
            {"a.example.com", "b.example.com"},
        ),
        (
            "PUSHPKI_HTTP__TRUSTED_PROXIES",
            "10.0.0.7/32",
            "http",
            "trusted_proxies",
            {ip_network("10.0.0.7/32")},
        ),
        ("PUSHPKI_POLICY__RESERVED_LOCAL_PARTS", "", "policy", "reserved_local_parts", set()),
        ("PUSHPKI_CA__KEY_ALGORITHM", "p-256", "ca", "key_algorithm", KeyAlgorithm.P_256),
        ("PUSHPKI_MINT__PATIENCE_SECONDS", "1.5", "mint", "patience_seconds", 1.5),
    ],
)
def test_a_variable_holds_the_text_of_its_key(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    section: str,
    key: str,
    expected: object,
) -> None:
    monkeypatch.setenv(variable, value)

    assert getattr(getattr(load_settings(written(tmp_path, "")), section), key) == expected


def test_a_variable_with_a_refused_value_is_named_by_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSHPKI_HTTP__LISTEN", "nowhere")

    assert refusal(written(tmp_path, "")).key == "http.listen"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[http]\nlisen = "127.0.0.1:1"\n', "http.lisen"),
        ("[htpp]\n", "htpp"),
        ('listen = "127.0.0.1:1"\n', "listen"),
    ],
)
def test_an_unknown_key_is_refused_by_name(tmp_path: Path, text: str, key: str) -> None:
    assert refusal(written(tmp_path, text)).key == key


@pytest.mark.parametrize("variable", ["PUSHPKI_HTPP__LISTEN", "PUSHPKI_HTTP__LISEN", "PUSHPKI_HTTP"])
def test_an_unknown_variable_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")

    assert refusal(written(tmp_path, "")).key == f"${variable}"


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ('[http]\nlisten = "8080"\n', "http.listen", "'8080'"),
        ('[http]\nlisten = "127.0.0.1:99999"\n', "http.listen", "'127.0.0.1:99999'"),
        ('[http]\nlisten = "not.an.ip:80"\n', "http.listen", "'not.an.ip:80'"),
        ('[ca]\nkey_algorithm = "rsa-1024"\n', "ca.key_algorithm", "'rsa-1024'"),
        ("[ca]\nvalidity_days = 826\n", "ca.validity_days", "826"),
        ('[ca]\npublic_url = "https://pki.example.com"\n', "ca.public_url", "'https://pki.example.com'"),
        ('[directory]\nanonymous_read = "perhaps"\n', "directory.anonymous_read", "'perhaps'"),
        ("[limits]\ngateway_burst = -1\n", "limits.gateway_burst", "-1"),
        ("[mint]\npatience_seconds = 60\n", "mint.patience_seconds", "60"),
    ],
)
def test_a_refused_value_is_named_with_its_key(tmp_path: Path, text: str, key: str, value: str) -> None:
    refused = refusal(written(tmp_path, text))

    assert refused.key == key
    assert value in refused.reason


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    refused = refusal(tmp_path / "pushpki.toml")

    assert refused.key == str(tmp_path / "pushpki.toml")
    assert "pushpki init" in refused.remedy


@pytest.mark.parametrize("content", [b"[http\n", b"\xff\xfe"])
def test_a_malformed_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "pushpki.toml"
    file.write_bytes(content)

    assert refusal(file).key == str(file)


def test_settings_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, ""))

    with pytest.raises(ValueError, match="frozen"):
        settings.http.tls = True


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:0", "127.0.0.1", 0), ("[::1]:389", "::1", 389), ("localhost:80", "localhost", 80)],
)
def test_listen_addresses(tmp_path: Path, text: str, host: str, port: int) -> None:
    settings = load_settings(written(tmp_path, f'[ldap]\nlisten = "{text}"\n'))

    assert settings.ldap.listen == ListenAddress(host=host, port=port)
    assert str(settings.ldap.listen) == text


def test_the_option_wins_over_the_variable_and_the_variable_over_the_folder() -> None:
    assert configuration_file(Path("a"), {"PUSHPKI_CONFIG": "b"}) == Path("a")
    assert configuration_file(None, {"PUSHPKI_CONFIG": "b"}) == Path("b")
    assert configuration_file(None, {}) == DEFAULT_FILE


def test_a_secret_file_gives_its_content_without_the_line_end(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b" open sesame \r\n")
    file.chmod(0o600)

    assert read_secret_file("database.password_file", file) == b" open sesame "


def test_a_secret_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"open sesame")
    file.chmod(0o644)

    with pytest.raises(ConfigurationRefused) as refused:
        read_secret_file("database.password_file", file)

    assert "chmod 600" in refused.value.remedy
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize("content", [None, b"", b"\n"])
def test_a_missing_or_empty_secret_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.touch(mode=0o600)
        file.write_bytes(content)

    with pytest.raises(ConfigurationRefused):
        read_secret_file("database.password_file", file)
