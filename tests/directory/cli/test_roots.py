"""`pushpki ca root`: the ceremony, from the export to what is brought back."""

import sqlite3
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.command import pushpki
from tests.directory.cli.workplace import Workplace, the_line_of

PASSPHRASE = "seven words that nobody would think of"
URL = "http://pki.example.com"


class Vault:
    """Where the root is taken: a folder without installation."""

    def __init__(self, folder: Path) -> None:
        self.key, self.passphrase = folder / "root.pem", folder / "passphrase"
        self.passphrase.touch(mode=0o600)
        self.passphrase.write_text(PASSPHRASE)
        self.folder = folder

    def arguments(self) -> tuple[str, ...]:
        return ("--key", str(self.key), "--passphrase-file", str(self.passphrase))

    def file(self, name: str) -> str:
        return str(self.folder / name)


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")
    folder = tmp_path / "vault"
    folder.mkdir()
    return Vault(folder)


def export(workplace: Workplace, vault: Vault, *more: str) -> tuple[str, ...]:
    del workplace
    return (
        *("ca", "root", "export", "--out", str(vault.key)),
        *("--passphrase-file", str(vault.passphrase), *more),
    )


def issuers(workplace: Workplace) -> list[dict[str, str]]:
    listed: list[dict[str, str]] = workplace.document("ca", "list")["issuers"]
    return listed


def test_the_ceremony(workplace: Workplace, vault: Vault) -> None:
    workplace.document("ca", "crl", "issue")
    workplace.document("lookup", "anna@example.org", "--gateway", "gw")
    root = issuers(workplace)[0]

    # The key leaves, and nothing of it stays.
    done = workplace.document(*export(workplace, vault, "--yes"))
    assert (done["id"], done["destroyed"]) == (root["id"], True)
    assert stat.S_IMODE(vault.key.stat().st_mode) == 0o600
    key = load_pem_private_key(vault.key.read_bytes(), PASSPHRASE.encode())
    certificate = x509.load_pem_x509_certificate(vault.key.read_bytes())
    assert key.public_key() == certificate.public_key()
    assert issuers(workplace)[0]["key"] == "off line"
    assert datetime.fromisoformat(done["crl_until"]) > datetime.now(UTC) + timedelta(days=170)
    assert workplace.document("verify") == {"violations": []}

    log = sqlite3.connect(workplace.folder / "pushpki.sqlite3")
    told = {kind for (kind,) in log.execute("SELECT kind FROM audit_events WHERE subject = ?", (root["id"],))}
    log.close()
    assert {"issuer.key_exported", "issuer.key_destroyed", "crl.imported"} <= told

    # The service goes on without it.
    assert len(workplace.document("ca", "crl", "issue")["crls"]) == 2
    workplace.document("lookup", "berta@example.org", "--gateway", "gw")
    assert "ca issuing csr" in workplace.refusal("ca", "issuing", "create", code=78)

    # The next CRL.
    workplace.document("ca", "crl", "request", "--issuer", root["id"], "--out", vault.file("request"))
    signing = (
        *("ca", "root", "sign-crl", "--request", vault.file("request"), "--out", vault.file("root.crl")),
        *("--days", "90", *vault.arguments(), "--json"),
    )
    signed = pushpki(*signing).document
    taken = workplace.document("ca", "crl", "import", vault.file("root.crl"))
    assert (taken["issuer"], taken["number"]) == (root["id"], signed["number"])
    assert "not greater" in workplace.refusal("ca", "crl", "import", vault.file("root.crl"), code=78)

    # The next issuing CA.
    pending = workplace.document("ca", "issuing", "csr", "--out", vault.file("issuing.csr"))
    certifying = (
        *("ca", "issuing", "sign", "--csr", vault.file("issuing.csr"), "--out", vault.file("issuing.crt")),
        *("--public-url", URL, *vault.arguments()),
    )
    assert "--yes" in the_line_of(pushpki(*certifying), 78)
    assert pushpki(*certifying, "--yes", "--json").document["certificate"] == vault.file("issuing.crt")
    imported = workplace.document("ca", "issuing", "import", vault.file("issuing.crt"))
    assert (imported["id"], imported["parent"]) == (pending["id"], root["id"])
    workplace.document("ca", "issuing", "activate", imported["id"])
    workplace.document("lookup", "carla@example.org", "--gateway", "gw")
    workplace.document("ca", "crl", "issue")
    assert workplace.document("verify") == {"violations": []}


def test_a_copy_leaves_the_key_here(workplace: Workplace, vault: Vault) -> None:
    done = workplace.document(*export(workplace, vault, "--keep"))

    assert (done["destroyed"], done["crl_until"]) == (False, None)
    assert issuers(workplace)[0]["key"] == "sealed here"


def test_nothing_leaves_without_a_word_or_over_another_file(workplace: Workplace, vault: Vault) -> None:
    assert "--yes" in workplace.refusal(*export(workplace, vault), code=78)
    vault.passphrase.write_text("short")
    assert "20 characters" in workplace.refusal(*export(workplace, vault, "--yes"), code=65)
    assert not vault.key.exists()
    vault.passphrase.write_text(PASSPHRASE)
    vault.key.write_text("something")
    assert "--out" in workplace.refusal(*export(workplace, vault, "--yes"), code=78)

    assert vault.key.read_text() == "something"
    assert issuers(workplace)[0]["key"] == "sealed here"


def test_a_wrong_passphrase_signs_nothing(workplace: Workplace, vault: Vault) -> None:
    root = workplace.document(*export(workplace, vault, "--yes"))["id"]
    workplace.document("ca", "crl", "request", "--issuer", root, "--out", vault.file("request"))
    vault.passphrase.write_text("another one that is long enough")

    line = the_line_of(
        pushpki(
            *("ca", "root", "sign-crl", "--request", vault.file("request"), "--out", vault.file("root.crl")),
            *vault.arguments(),
        ),
        65,
    )

    assert "passphrase" in line
    assert not Path(vault.file("root.crl")).exists()


def test_nothing_of_the_key_stays_in_the_database(workplace: Workplace, vault: Vault) -> None:
    before = _sealed_key(workplace)
    assert before in _octets(workplace)

    workplace.document(*export(workplace, vault, "--yes"))

    assert before not in _octets(workplace)


def _sealed_key(workplace: Workplace) -> bytes:
    connection = sqlite3.connect(workplace.folder / "pushpki.sqlite3")
    ((wrapped,),) = connection.execute(
        "SELECT key_wrapped_key FROM issuers WHERE purpose = 'root-ca'"
    ).fetchall()
    connection.close()
    return bytes(wrapped)


def _octets(workplace: Workplace) -> bytes:
    return b"".join(one.read_bytes() for one in workplace.folder.glob("pushpki.sqlite3*"))
