"""The whole story with known secrets, and then a search for them in everything that was written.

Database (with freed pages and journal), log at its most talkative, all files of the installation, mails: a
secret may stand there sealed, and in no form that can be read.
"""

import asyncio
import base64
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from sqlalchemy import Connection, select

from directory.settings import load_settings
from directory.store.opening import open_database
from directory.store.tables import metadata
from directory.wiring.evidence import audit_keys
from directory.wiring.installation import open_installation
from directory.wiring.signers import ca_key_identity
from tests.command import pushpki
from tests.databases import PATIENT, Databases
from tests.gateways import call, look_up, metrics_page
from tests.postbox import postbox
from tests.service import GATEWAY, UNHURRIED, Installed, install, serving, succeed

TALKATIVE = {
    "PUSHPKI_SERVICE__LOG_LEVEL": "debug",
    **UNHURRIED,
    "PUSHPKI_CA__KEY_POOL_SIZE": "2",
}
PASSPHRASE = f"passphrase {secrets.token_hex(16)}"
SMTP_PASSWORD = f"smtp {secrets.token_hex(16)}"


@dataclass
class Evidence:
    """What was written, and what must not be found in it."""

    written: dict[str, bytes] = field(default_factory=dict)
    canaries: dict[str, list[bytes]] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=list)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def evidence(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, databases: Databases
) -> Evidence:
    folder = tmp_path_factory.mktemp("secrets")
    passphrase_file = secret_file(folder / "passphrase", PASSPHRASE)
    found = Evidence()
    with postbox() as mail:
        database = databases.empty("postgresql") if request.param == "postgresql" else None
        installed = install(
            folder / "pushpki",
            smtp=mail.smtp,
            database=database,
            init=("--passphrase-file", str(passphrase_file)),
        )
        succeed(
            *("org", "add", "law", "--name", "Law Firm", "--domain", "law.org", "--mail-from", "k@law.org"),
            *("--smtp", "smtp://mailer@127.0.0.1:2525", "--config", str(installed.config)),
            *("--smtp-password-file", str(secret_file(folder / "smtp-password", SMTP_PASSWORD))),
        )
        address = f"p{uuid.uuid4().hex[:12]}@example.com"
        found.addresses.append(address)
        with serving(installed, variables=TALKATIVE) as running:
            assert len(look_up(running, address)) == 1
            message = mail.message_to(address)
            agent = installed.agent_token
            _, listed = call(running, "GET", "/api/v1/enrolments", token=agent)
            reveal = f"/api/v1/enrolments/{listed['enrolments'][0]['enrolment_id']}/password/reveal"
            _, revealed = call(running, "POST", reveal, token=agent, body={})
            # What goes wrong is talked about most.
            call(running, "POST", reveal, token=agent, body={})
            call(running, "POST", reveal, token=installed.gateway_token, body={})
            call(running, "GET", f"/certificates?email={address}&access_token={agent}", token="x" * 40)
            found.written["metrics"] = metrics_page(running).encode()
        succeed("master-key", "rotate", "--yes", "--config", str(installed.config))
        assert succeed("verify", "--config", str(installed.config)) == {"violations": []}
        export = pushpki("audit", "export", "--config", str(installed.config))
        assert '"kind":"password.revealed"' in export.out
        found.written["audit export"] = export.out.encode()
        found.written |= {f"mail {number}": raw for number, raw in enumerate(mail.raw)}

    (attachment,) = message.iter_attachments()
    package, password = attachment.get_content(), revealed["password"]
    found.written |= files_of(installed.folder) | {"key package": package}
    if database is not None:
        found.written |= asyncio.run(rows_of(database))
    found.canaries = {
        "passphrase": [PASSPHRASE.encode()],
        "smtp password": [SMTP_PASSWORD.encode()],
        "gateway token": [installed.gateway_token.split("_")[2].encode()],
        "agent token": [installed.agent_token.split("_")[2].encode()],
        "password": [password.encode(), password.replace("-", "").encode()],
        "recipient key": parts_of(key_in(package, password)),
        "CA key": parts_of(asyncio.run(ca_key_of(installed))),
        "audit key": [asyncio.run(audit_key_of(installed))],
        "TLS key": parts_of_pem(installed.folder / "tls.key"),
    }
    del found.written["tls.key"]  # the one file in which a key stands in clear, mode 0600
    return found


def secret_file(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def rows_of(url: str) -> dict[str, bytes]:
    """Everything that is in the tables, as octets."""

    def work(connection: Connection) -> dict[str, bytes]:
        return {
            f"table {table.name}": b"\n".join(
                value if isinstance(value, bytes) else str(value).encode()
                for row in connection.execute(select(table))
                for value in row
            )
            for table in metadata.sorted_tables
        }

    database = open_database(url, limits=PATIENT)
    try:
        return await database.read(work)
    finally:
        await database.close()


async def ca_key_of(installed: Installed) -> bytes:
    settings = load_settings(installed.config)
    async with open_installation(settings, PASSPHRASE.encode()) as opened:
        hierarchy = await opened.issuers.hierarchy()
        issuer = next(one for one in hierarchy.issuers if one.active_from is not None)
        assert issuer.sealed_key is not None
        return opened.sealer.unseal(issuer.sealed_key, ca_key_identity(issuer.issuer_id))


async def audit_key_of(installed: Installed) -> bytes:
    settings = load_settings(installed.config)
    async with open_installation(settings, PASSPHRASE.encode()) as opened:
        return (await audit_keys(opened, "operator:test").signer()).secret()


def key_in(package: bytes, password: str) -> bytes:
    key, _, _ = pkcs12.load_key_and_certificates(package, password.encode())
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def parts_of(pkcs8: bytes) -> list[bytes]:
    """Pieces of a private key none of which is public: beyond the modulus, in the second half."""
    return [pkcs8[at : at + 24] for at in range(len(pkcs8) // 2, len(pkcs8) - 24, 24)]


def parts_of_pem(path: Path) -> list[bytes]:
    assert path.stat().st_mode & 0o777 == 0o600
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return [key.private_numbers().private_value.to_bytes(32)]


def readable_forms(secret: bytes) -> Iterator[bytes]:
    """The secret as it is, in hexadecimal, and in base64 at any of its three alignments."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret)
        # What depends on the octets before and behind is cut off.
        yield encoded[4 if shift else 0 : len(encoded) - 4]


@pytest.mark.parametrize(
    "name",
    [
        "passphrase",
        "smtp password",
        "gateway token",
        "agent token",
        "password",
        "recipient key",
        "CA key",
        "audit key",
        "TLS key",
    ],
)
def test_a_secret_is_readable_nowhere(evidence: Evidence, name: str) -> None:
    found = [
        place
        for secret in evidence.canaries[name]
        for form in readable_forms(secret)
        for place, content in evidence.written.items()
        if form in content.replace(b"\r\n", b"").replace(b"\n", b"")
    ]

    assert found == []


def test_the_search_finds_what_is_there(evidence: Evidence) -> None:
    """A search that finds nothing anywhere would prove nothing."""
    address = evidence.addresses[0].encode()

    in_database = [place for place, content in evidence.written.items() if address in content]
    assert any(place.endswith(".sqlite3") or place.startswith("table ") for place in in_database)
    assert any(place.startswith("mail ") for place in in_database)
    for form in readable_forms(b"a secret of some length"):
        assert form in b"".join([b"xa secret of some lengthx", *encodings_of(b"a secret of some length")])


def encodings_of(secret: bytes) -> Iterator[bytes]:
    yield from (secret.hex().encode(), secret.hex().upper().encode())
    yield from (base64.b64encode(b"p" * shift + secret + b"s" * 7) for shift in range(3))


def test_the_metrics_tell_neither_addresses_nor_names(evidence: Evidence) -> None:
    page = evidence.written["metrics"]

    assert b'pushpki_lookups_total{front_end="ldap",outcome="minted",reason=""} 1.0' in page
    told = (*evidence.addresses, "example.com", "hospital", GATEWAY)
    assert [word for word in told if word.encode() in page] == []


def test_the_log_tells_no_address(evidence: Evidence) -> None:
    log = evidence.written["serve.log"]

    assert b"POST" in log
    assert evidence.addresses[0].encode() not in log
