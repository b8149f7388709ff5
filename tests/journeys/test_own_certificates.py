"""A recipient's own certificate, from the operator's command to the gateway that asks, and away again."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ldap3
import pytest
from cryptography import x509

from tests.directory.foreign import a_foreign_certificate, der
from tests.gateways import CERTIFICATE, certificates_of, ldap_connection
from tests.postbox import postbox
from tests.service import SUFFIX, UNHURRIED, Running, install, serving, succeed

QUICK = {**UNHURRIED, "PUSHPKI_CA__KEY_POOL_SIZE": "1"}
ANNA = "anna@example.org"
PROMISED_SECONDS = 5.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with postbox() as mail:
        installed = install(tmp_path_factory.mktemp("own") / "pushpki", smtp=mail.smtp)
        with serving(installed, variables=QUICK) as service:
            yield service


def a_file(folder: Path, name: x509.GeneralName) -> tuple[str, bytes]:
    now = datetime.now(UTC).replace(microsecond=0)
    content = der(
        a_foreign_certificate(name, not_before=now - timedelta(days=1), not_after=now + timedelta(days=9))
    )
    path = folder / "own.crt"
    path.write_bytes(content)
    return str(path), content


def until_answered(connection: ldap3.Connection, address: str, expected: list[bytes]) -> float:
    """Ask again and again until the answer is the expected one; return how many seconds that took."""
    started = time.monotonic()
    while certificates_of(connection, address) != expected:
        assert time.monotonic() - started < PROMISED_SECONDS
    return time.monotonic() - started


def test_an_own_certificate_goes_before_the_minted_one_and_leaves_again(running: Running) -> None:
    config = ("--config", str(running.installed.config))
    file, own = a_file(running.installed.folder, x509.RFC822Name(ANNA))
    with ldap_connection(running) as connection:
        (minted,) = certificates_of(connection, ANNA)
        assert certificates_of(connection, ANNA) == [minted]

        succeed("certificate", "import", file, *config)
        assert until_answered(connection, ANNA, [own, minted]) < PROMISED_SECONDS

        succeed("revoke", "--serial", "abcdef", "--yes", *config)
        assert until_answered(connection, ANNA, [minted]) < PROMISED_SECONDS
    assert succeed("verify", *config) == {"violations": []}


def test_what_is_bound_to_a_domain_is_found_by_the_domain_and_by_nobodys_address(running: Running) -> None:
    file, own = a_file(running.installed.folder, x509.DNSName("example.org"))
    succeed("certificate", "import", file, "--config", str(running.installed.config))
    with ldap_connection(running, bound=False) as stranger:
        assert certificates_of(stranger, "example.org") == [own]
        assert certificates_of(stranger, "bert@example.org") == []
        assert certificates_of(stranger, "mail.example.org") == []

        # As the Direct Project's agents ask.
        stranger.search(
            SUFFIX,
            "(&(mail=example.org)(|(userCertificate;binary=*)(userCertificate=*)))",
            attributes=["userCertificate", CERTIFICATE],
        )
        (entry,) = stranger.response or []
        assert entry["dn"] == f"mail=example.org,ou=people,{SUFFIX}"
        assert entry["raw_attributes"][CERTIFICATE] == [own]
