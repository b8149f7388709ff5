"""A lost key: held, escrowed, asked for, approved by two of three, fetched, opened with two shares."""

import http.client
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from cryptography.hazmat.primitives.serialization.pkcs7 import (
    PKCS7EnvelopeBuilder,
    PKCS7Options,
    pkcs7_decrypt_der,
)

from tests.command import pushpki
from tests.gateways import TIMEOUT_SECONDS, call, look_up
from tests.postbox import Postbox, postbox
from tests.service import Installed, Running, install, serving, succeed

ADDRESS = "anna@example.com"
MAIL = b"what was written to her while she had her key"
KEEPERS = ("rosa", "ralf", "rita")
QUICK = {
    "PUSHPKI_CA__KEY_ALGORITHM": "rsa-2048",
    "PUSHPKI_CA__KEY_POOL_SIZE": "2",
    "PUSHPKI_DELIVERY__POLL_SECONDS": "0.2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """What the keepers carried away."""

    certificate: str
    key: str
    shares: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    installed: Installed
    mail: Postbox
    ceremony: Ceremony
    tokens: dict[str, str]
    """Of the recovery agents."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An organization that escrows keys; a recovery key shared by three, all of them recovery agents."""
    folder = tmp_path_factory.mktemp("recovery")
    made = succeed(
        *("recovery", "certificate", "create", "--dir", str(folder / "safe")),
        *(option for keeper in KEEPERS for option in ("--keeper", keeper)),
    )
    with postbox() as mail:
        installed = install(folder / "pushpki", smtp=mail.smtp)
        config = ("--config", str(installed.config))
        succeed("org", "set", "hospital", "--end-of-hold", "escrow", *config)
        added = succeed("recovery", "certificate", "add", made["certificate"], *config)
        succeed("recovery", "certificate", "activate", added["fingerprint"][:16], "--yes", *config)
        tokens = {
            keeper: succeed("recovery", "agent", "add", keeper, "--email", f"{keeper}@keepers.org", *config)[
                "token"
            ]
            for keeper in KEEPERS
        }
        yield Place(
            installed=installed,
            mail=mail,
            ceremony=Ceremony(certificate=made["certificate"], key=made["key"], shares=made["shares"]),
            tokens=tokens,
        )


@pytest.fixture(scope="module")
def escrowed(place: Place) -> dict[str, Any]:
    """The enrolment of a key that has been escrowed, with its certificate."""
    with serving(place.installed, variables=QUICK) as running:
        (certificate,) = look_up(running, ADDRESS)
        next(one for one in watched(running) if one["delivery"] == "accepted")
    key_mail = place.mail.message_to(ADDRESS)
    body = key_mail.get_body(("plain",))
    assert body is not None
    assert "a copy of your key kept in case it is lost" in body.get_content()
    with closing(sqlite3.connect(place.installed.folder / "pushpki.sqlite3")) as database, database:
        database.execute("UPDATE held_keys SET hold_until = '2020-01-01 00:00:00.000000'")
    with serving(place.installed, variables=QUICK) as running:
        enrolment = next(one for one in watched(running) if one["key"] == "escrowed")
    assert succeed("verify", "--config", str(place.installed.config)) == {"violations": []}
    return {**enrolment, "certificate": certificate}


def watched(running: Running) -> Iterator[dict[str, Any]]:
    """Yield the only enrolment again and again."""
    while True:
        status, listed = call(running, "GET", "/api/v1/enrolments", token=running.installed.agent_token)
        assert status == 200
        (enrolment,) = listed["enrolments"]
        yield enrolment


def fetch(running: Running, recovery_id: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", running.ports["http"], timeout=TIMEOUT_SECONDS)
    with closing(connection):
        token = {"Authorization": f"Bearer {running.installed.agent_token}"}
        connection.request("POST", f"/api/v1/recoveries/{recovery_id}/fetch", headers=token)
        response = connection.getresponse()
        return response.status, response.read()


def decrypted_with(package: bytes, password: str, certificate: x509.Certificate) -> bytes:
    """Encrypt a mail to the certificate, and open it with the key package."""
    builder = PKCS7EnvelopeBuilder().set_data(MAIL).add_recipient(certificate)
    builder = builder.set_content_encryption_algorithm(AES256)
    envelope = builder.encrypt(Encoding.DER, [PKCS7Options.Binary])
    key, own, chain = pkcs12.load_key_and_certificates(package, password.encode())
    assert isinstance(key, RSAPrivateKey)
    assert own == certificate
    assert len(chain) == 2
    return pkcs7_decrypt_der(envelope, certificate, key, [])


def opened(place: Place, envelope: Path, out: Path, *keepers: str) -> dict[str, Any]:
    shares = (option for keeper in keepers for option in ("--share", place.ceremony.shares[keeper]))
    return succeed("recovery", "open", str(envelope), "--key", place.ceremony.key, *shares, "--out", str(out))


def test_over_http_to_a_key_package_that_opens_her_mail(
    place: Place, escrowed: dict[str, Any], tmp_path: Path
) -> None:
    agent = place.installed.agent_token
    with serving(place.installed, variables=QUICK) as running:
        asked = f"/api/v1/enrolments/{escrowed['enrolment_id']}/recovery"
        status, recovery = call(running, "POST", asked, token=agent, body={"reason": "laptop lost"})
        assert status == 200, recovery
        recovery_id = recovery["recovery_id"]
        assert fetch(running, recovery_id)[0] == 409
        for keeper in ("rosa", "rita"):
            approve = f"/api/v1/recoveries/{recovery_id}/approve"
            status, recovery = call(running, "POST", approve, token=place.tokens[keeper])
            assert status == 200, recovery
        assert recovery["state"] == "approved"
        status, envelope = fetch(running, recovery_id)
        assert status == 200
        assert fetch(running, recovery_id)[0] == 409
        notice = place.mail.message_to(ADDRESS)
    assert "taken out of safekeeping" in notice["Subject"]

    (tmp_path / "key.p7m").write_bytes(envelope)
    done = opened(place, tmp_path / "key.p7m", tmp_path / "key.p12", "ralf", "rita")

    certificate = x509.load_der_x509_certificate(escrowed["certificate"])
    package = (tmp_path / "key.p12").read_bytes()
    assert done["address"] == ADDRESS
    assert decrypted_with(package, done["password"], certificate) == MAIL
    assert succeed("verify", "--config", str(place.installed.config)) == {"violations": []}


def test_by_commands_and_for_an_operator(place: Place, escrowed: dict[str, Any], tmp_path: Path) -> None:
    config = ("--config", str(place.installed.config))
    requested = succeed(
        *("recovery", "request", escrowed["enrolment_id"], "--reason", "court order 7/26"),
        *("--email", "olga@example.org", *config),
    )
    recovery_id, out = requested["recovery_id"], tmp_path / "key.p7m"
    early = pushpki("recovery", "fetch", recovery_id, "--out", str(out), *config)
    assert (early.code, out.exists()) == (65, False)
    assert "0 of 2 people" in early.err
    for keeper in ("ralf", "rosa"):
        token_file = tmp_path / f"{keeper}.token"
        token_file.touch(mode=0o600)
        token_file.write_text(place.tokens[keeper] + "\n", encoding="utf-8")
        succeed("recovery", "approve", recovery_id, "--token-file", str(token_file), *config)

    fetched = succeed("recovery", "fetch", recovery_id, "--out", str(out), *config)

    assert fetched["recipient_is_told"]
    assert out.stat().st_mode & 0o777 == 0o600
    listed = succeed("recovery", "list", *config)["recoveries"]
    assert {one["recovery_id"]: one["state"] for one in listed}[recovery_id] == "fetched"
    assert len(opened(place, out, tmp_path / "key.p12", *KEEPERS)["password"]) == 29


def test_one_share_opens_nothing_and_neither_does_anothers_key(
    place: Place, escrowed: dict[str, Any], tmp_path: Path
) -> None:
    with closing(sqlite3.connect(place.installed.folder / "pushpki.sqlite3")) as database:
        query = "SELECT envelope FROM escrowed_keys WHERE enrolment_id = ?"
        ((envelope,),) = database.execute(query, (escrowed["enrolment_id"],)).fetchall()
    (tmp_path / "key.p7m").write_bytes(envelope)
    out = tmp_path / "key.p12"
    common = ("recovery", "open", str(tmp_path / "key.p7m"), "--out", str(out))

    alone = pushpki(*common, "--key", place.ceremony.key, "--share", place.ceremony.shares["rosa"])
    other = succeed(
        *("recovery", "certificate", "create", "--dir", str(tmp_path / "other")),
        *("--keeper", "x", "--keeper", "y"),
    )
    shares = (option for share in other["shares"].values() for option in ("--share", share))
    elsewhere = pushpki(*common, "--key", other["key"], *shares)

    assert (alone.code, elsewhere.code, out.exists()) == (78, 78, False)
    assert "not enough shares" in alone.err
    assert "another certificate" in elsewhere.err
