"""What keeps a command from its installation, said in one line: the key, its value, and what to do."""

import asyncio
import os
import pwd
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection

from directory.cli.opening import installation, operator
from directory.store.timelimits import A_GATEWAYS_PATIENCE, A_PERSONS_PATIENCE
from tests.command import pushpki
from tests.directory.cli.workplace import Workplace, the_line_of

REFUSED = 78
UNAVAILABLE = 75


def edited(workplace: Workplace, old: str, new: str) -> Workplace:
    text = workplace.config.read_text(encoding="utf-8")
    assert old in text
    workplace.config.write_text(text.replace(old, new), encoding="utf-8")
    return workplace


def sql(workplace: Workplace, statement: str) -> None:
    connection = sqlite3.connect(workplace.folder / "pushpki.sqlite3")
    with connection:
        connection.execute(statement)
    connection.close()


def test_the_configuration_is_found_by_option_variable_or_folder(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (hospital,) = workplace.document("org", "list")["organizations"]

    monkeypatch.setenv("PUSHPKI_CONFIG", str(workplace.config))
    assert pushpki("org", "list", "--json").document == {"organizations": [hospital]}

    monkeypatch.delenv("PUSHPKI_CONFIG")
    monkeypatch.chdir(workplace.folder)
    assert pushpki("org", "list", "--json").document == {"organizations": [hospital]}


def test_without_a_configuration_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    line = the_line_of(pushpki("org", "list"), REFUSED)

    assert "pushpki.toml: there is no such configuration file" in line
    assert "pushpki init" in line
    assert "--config" in line


def test_an_unknown_key_is_named(workplace: Workplace) -> None:
    edited(workplace, "[ldap]", "[ldap]\nlissten = 1")

    line = workplace.refusal("org", "list", code=REFUSED)

    assert "ldap.lissten" in line
    assert str(workplace.config) in line
    assert "spelling" in line


def test_an_unknown_section_is_named(workplace: Workplace) -> None:
    edited(workplace, "[ldap]", "[ladp]")

    assert "ladp" in workplace.refusal("org", "list", code=REFUSED)


def test_a_value_that_is_refused_is_shown_with_its_key(workplace: Workplace) -> None:
    edited(workplace, "127.0.0.1:8080", "nowhere")

    line = workplace.refusal("org", "list", code=REFUSED)

    assert "http.listen" in line
    assert "'nowhere'" in line
    assert "host:port" in line


def test_what_is_not_toml_is_refused_with_its_file(workplace: Workplace) -> None:
    edited(workplace, "[ldap]", "[ldap")

    line = workplace.refusal("org", "list", code=REFUSED)

    assert f"{workplace.config}: is not TOML" in line


@pytest.mark.parametrize("variable", ["PUSHPKI_LDAP__LISSTEN", "PUSHPKI_LADP__LISTEN", "PUSHPKI_LISTEN"])
def test_an_unknown_variable_is_named(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "127.0.0.1:0")

    assert f"${variable}" in workplace.refusal("org", "list", code=REFUSED)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_an_exposed_master_key_is_refused(workplace: Workplace, mode: int) -> None:
    key = workplace.folder / "master.key"
    key.chmod(mode)

    line = workplace.refusal("org", "list", code=REFUSED)

    assert f"master key {key}" in line
    assert f"{mode:04o}" in line
    assert "chmod 600" in line


def test_a_missing_master_key_is_named(workplace: Workplace) -> None:
    (workplace.folder / "master.key").unlink()

    line = workplace.refusal("org", "list", code=REFUSED)

    assert f"master key {workplace.folder / 'master.key'}: is missing" in line
    assert "master_key.file" in line


def test_another_installations_master_key_is_refused(workplace: Workplace, protected: Workplace) -> None:
    edited(
        workplace,
        '"master.key"',
        f'"{protected.folder / "master.key"}"\npassphrase_file = "{passphrase_of(protected)}"',
    )

    line = workplace.refusal("org", "list", code=REFUSED)

    assert "is not the one this database was sealed under" in line


def test_a_passphrase_that_is_needed_and_not_given_is_asked_for_by_its_key(protected: Workplace) -> None:
    edited(protected, "passphrase_file", "# passphrase_file")

    line = protected.refusal("org", "list", code=REFUSED)

    assert "needs a passphrase" in line
    assert "master_key.passphrase_file" in line


def test_a_wrong_passphrase_is_refused_and_not_repeated(protected: Workplace) -> None:
    passphrase_of(protected).write_text("hunter2", encoding="utf-8")

    line = protected.refusal("org", "list", code=REFUSED)

    assert "the passphrase is wrong" in line
    assert "hunter2" not in line


def test_an_exposed_passphrase_is_refused(protected: Workplace) -> None:
    passphrase_of(protected).chmod(0o644)

    line = protected.refusal("org", "list", code=REFUSED)

    assert "master_key.passphrase_file" in line
    assert f"chmod 600 {passphrase_of(protected)}" in line


def test_a_missing_passphrase_file_is_named(protected: Workplace) -> None:
    passphrase_of(protected).unlink()

    line = protected.refusal("org", "list", code=REFUSED)

    assert f"{passphrase_of(protected)} cannot be read" in line


def test_the_right_passphrase_opens(protected: Workplace) -> None:
    assert protected.document("org", "list") == {"organizations": []}


def test_a_database_of_a_newer_version_is_left_alone(workplace: Workplace) -> None:
    sql(workplace, "UPDATE alembic_version SET version_num = '9999'")

    for command in ("org list", "migrate", "verify"):
        line = workplace.refusal(*command.split(), code=REFUSED)
        assert "schema 9999" in line
        assert "install a newer pushpki" in line


def test_a_database_without_a_schema_is_migrated_on_demand(workplace: Workplace) -> None:
    (workplace.folder / "pushpki.sqlite3").write_bytes(b"")

    line = workplace.refusal("org", "list", code=REFUSED)
    assert "schema none" in line
    assert "run 'pushpki migrate'" in line

    assert workplace.document("migrate").keys() == {"schema"}
    # It is now one that this master key does not know, and no directory to mint every address anew in.
    assert "is not the one" in workplace.refusal("org", "list", code=REFUSED)


def test_a_missing_database_is_named_and_not_made(workplace: Workplace) -> None:
    database = workplace.folder / "pushpki.sqlite3"
    database.unlink()

    for command in ("org list", "migrate", "verify"):
        line = workplace.refusal(*command.split(), code=REFUSED)
        assert f"database.url: sqlite:///{database} is missing" in line
        assert "backup" in line
    assert not database.exists()


def test_what_is_no_database_is_refused(workplace: Workplace) -> None:
    (workplace.folder / "pushpki.sqlite3").write_bytes(b"something else entirely " * 100)

    assert "not a database" in workplace.refusal("org", "list", code=UNAVAILABLE)


def test_a_server_that_does_not_answer_is_named(workplace: Workplace, tmp_path: Path) -> None:
    url = f"postgresql://pushpki@/pushpki?host={tmp_path}"
    edited(workplace, "sqlite:///pushpki.sqlite3", url)

    line = workplace.refusal("org", "list", code=UNAVAILABLE)

    assert url in line
    assert "database.url" in line


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@db/pushpki",
        "postgresql://user@db/pushpki?password=hunter2",
        "postgresql://user:hunter2@db:port/pushpki",
    ],
)
def test_a_password_in_the_databases_url_is_refused_and_not_repeated(workplace: Workplace, url: str) -> None:
    edited(workplace, "sqlite:///pushpki.sqlite3", url)

    line = workplace.refusal("org", "list", code=REFUSED)

    assert "database.url" in line
    assert "hunter2" not in line


def test_the_databases_password_file_must_be_secret(workplace: Workplace, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("hunter2", encoding="utf-8")
    password.chmod(0o644)
    edited(workplace, "[master_key]", f'password_file = "{password}"\n[master_key]')

    line = workplace.refusal("org", "list", code=REFUSED)

    assert "database.password_file" in line
    assert f"chmod 600 {password}" in line


def test_the_databases_password_must_be_text(workplace: Workplace, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_bytes(b"hunter2\xff")
    edited(workplace, "[master_key]", f'password_file = "{password}"\n[master_key]')

    line = workplace.refusal("org", "list", code=REFUSED)

    assert f"database.password_file: {password} is not UTF-8" in line
    assert "hunter2" not in line


def test_the_operator_is_who_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-else")
    monkeypatch.setenv("USER", "somebody-else")

    assert operator() == f"operator:{pwd.getpwuid(os.getuid()).pw_name}"


def passphrase_of(protected: Workplace) -> Path:
    return protected.folder.parent / "passphrase"


def test_a_command_waits_for_the_database_as_long_as_a_person_does(template: Workplace) -> None:
    def longest_wait_for_a_lock(connection: Connection) -> int:
        return int(connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one())

    async def work() -> int:
        async with installation(template.config) as opened:
            return await opened.database.write(longest_wait_for_a_lock)

    assert asyncio.run(work()) == A_PERSONS_PATIENCE.lock * 1000 > A_GATEWAYS_PATIENCE.lock * 1000
