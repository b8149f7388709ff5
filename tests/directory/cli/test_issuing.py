"""`pushpki ca issuing`: made, asked for, imported, made active."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.carequests import read_ca_request
from ca.issuerimport import fingerprint
from tests.ca.strangers import Stranger
from tests.directory.cli.workplace import Workplace

ANNA = "anna@example.org"
NOW = datetime.now(UTC).replace(microsecond=0)
BEGIN, END = NOW - timedelta(days=1), NOW + timedelta(days=3650)


@pytest.fixture(autouse=True)
def _quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")


def states(workplace: Workplace) -> dict[str, str]:
    return {one["id"]: one["state"] for one in workplace.document("ca", "list")["issuers"]}


def issuer_of(workplace: Workplace, address: str) -> str:
    """Mint for the address; return the identifier of whoever certified it."""
    answer = workplace.document("lookup", address, "--gateway", "gw")
    certificate = x509.load_pem_x509_certificate(answer["certificate"].encode())
    authority = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert authority.key_identifier is not None
    return authority.key_identifier.hex()


def test_a_new_issuing_ca_certifies_when_it_is_made_active(workplace: Workplace) -> None:
    before = issuer_of(workplace, ANNA)
    made = workplace.document("ca", "issuing", "create", "--key", "p-256")
    assert states(workplace)[made["id"]] == "pending"
    assert issuer_of(workplace, "berta@example.org") == before

    workplace.document("ca", "issuing", "activate", made["id"])

    assert issuer_of(workplace, "carla@example.org") == made["id"]
    assert (states(workplace)[before], states(workplace)[made["id"]]) == ("succeeded", "active")
    assert workplace.document("verify") == {"violations": []}


def test_one_can_be_made_and_made_active_at_once(workplace: Workplace) -> None:
    made = workplace.document("ca", "issuing", "create", "--key", "p-256", "--name", "New", "--activate")

    assert states(workplace)[made["id"]] == "active"
    assert made["subject"].startswith("CN=New,")


def test_a_constrained_one_certifies_nobody_else(workplace: Workplace) -> None:
    workplace.lines("ca", "issuing", "create", "--key", "p-256", "--permit", "example.org", "--activate")

    assert issuer_of(workplace, ANNA)
    refused = workplace.pushpki("lookup", "anna@example.com", "--gateway", "gw", "--json")
    assert "mint.not_certifiable" in refused.out + refused.err


def test_what_a_stranger_certified_is_imported(workplace: Workplace, tmp_path: Path) -> None:
    request, signed, above = tmp_path / "issuing.csr", tmp_path / "signed.pem", tmp_path / "root.pem"
    pending = workplace.document("ca", "issuing", "csr", "--out", str(request))
    root = Stranger("Stranger Root", not_before=BEGIN, not_after=END)
    asked = x509.load_pem_x509_csr(request.read_bytes())
    key = read_ca_request(request.read_bytes()).public_key
    signed.write_bytes(
        root.certify(asked.subject, key, not_before=BEGIN, not_after=END).public_bytes(Encoding.PEM)
    )
    above.write_bytes(root.certificate.public_bytes(Encoding.PEM))
    command = ("ca", "issuing", "import", str(signed), "--chain", str(above))

    fingerprint_of_root = fingerprint(root.certificate).hex()
    assert fingerprint_of_root in workplace.refusal(*command, code=65)
    assert "--trust" in workplace.refusal(*command, "--trust", "abc", code=78)
    imported = workplace.document(*command, "--trust", fingerprint_of_root)

    assert imported["id"] == pending["id"]
    workplace.document("ca", "issuing", "activate", imported["id"])
    assert issuer_of(workplace, ANNA) == pending["id"]
    assert states(workplace)[imported["parent"]] == "active"
    assert "already exists" in workplace.refusal(*command, code=73)
    workplace.document("ca", "crl", "issue")
    assert workplace.document("verify") == {"violations": []}

    # Its certificate names the stranger's CRL, which is the stranger's affair.
    workplace.document("ca", "issuing", "revoke", imported["id"], "--yes")
    workplace.document("ca", "crl", "issue")
    assert workplace.document("verify") == {"violations": []}


def test_a_request_is_withdrawn_after_a_question(workplace: Workplace, tmp_path: Path) -> None:
    pending = workplace.document("ca", "issuing", "csr", "--key", "p-256", "--out", str(tmp_path / "a.csr"))

    assert "--yes" in workplace.refusal("ca", "issuing", "withdraw", pending["id"], code=78)
    assert workplace.document("ca", "issuing", "withdraw", pending["id"], "--yes") == {
        "withdrawn": pending["id"],
        "key": "destroyed",
    }
    assert pending["id"] not in states(workplace)
    assert f"no request '{pending['id']}'" in workplace.refusal(
        "ca", "issuing", "withdraw", pending["id"], "--yes", code=66
    )


def test_an_organization_that_shares_has_no_issuing_ca_of_its_own(workplace: Workplace) -> None:
    assert "isolated" in workplace.refusal("ca", "issuing", "create", "--org", "hospital", code=78)


ISOLATED = (
    *("org", "add", "clinic", "--name", "Clinic", "--domain", "clinic.org", "--isolated"),
    *("--mail-from", "keys@clinic.org", "--smtp", "smtp://127.0.0.1:2525"),
)


def test_an_isolated_organization_is_served_by_its_own(workplace: Workplace) -> None:
    workplace.document(*ISOLATED)
    workplace.document("gateway", "add", "clinic-gw", "--org", "clinic")
    own = workplace.document("ca", "list")["issuers"][-1]
    assert (own["organization"], own["state"]) == ("clinic", "active")

    answer = workplace.document("lookup", ANNA, "--gateway", "clinic-gw")

    certificate = x509.load_pem_x509_certificate(answer["certificate"].encode())
    assert "Clinic Issuing CA" in certificate.issuer.rfc4514_string()
    assert issuer_of(workplace, ANNA) != own["id"]
    workplace.document("ca", "issuing", "revoke", own["id"], "--yes")
    refused = workplace.pushpki("lookup", "berta@example.org", "--gateway", "clinic-gw", "--json")
    assert "mint.no_issuer" in refused.out + refused.err, "the shared one does not sign for it again"
    workplace.document("ca", "crl", "issue")
    assert workplace.document("verify") == {"violations": []}


def test_without_a_root_here_an_isolated_organization_gets_a_request(
    workplace: Workplace, tmp_path: Path
) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("words that nobody would think of")
    workplace.document(
        *("ca", "root", "export", "--out", str(tmp_path / "root.pem")),
        *("--passphrase-file", str(passphrase), "--yes"),
    )

    workplace.document(*ISOLATED)

    own = workplace.document("ca", "list")["issuers"][-1]
    assert (own["organization"], own["state"], own["not_after"]) == ("clinic", "pending", None)


def test_a_compromised_one_is_given_up(workplace: Workplace) -> None:
    old = issuer_of(workplace, ANNA)
    new = workplace.document("ca", "issuing", "create", "--key", "p-256", "--activate")["id"]
    assert "--yes" in workplace.refusal("ca", "issuing", "revoke", old, code=78)

    done = workplace.document("ca", "issuing", "revoke", old, "--yes")

    assert done == {"id": old, "certificates": 1, "reason": "cACompromise"}
    assert states(workplace)[old] == "revoked"
    workplace.document("ca", "crl", "issue")
    root = workplace.document("ca", "list")["issuers"][0]["id"]
    workplace.document("ca", "crl", "request", "--issuer", root, "--out", str(workplace.folder / "asked"))
    assert '"cACompromise"' in (workplace.folder / "asked").read_text()
    assert issuer_of(workplace, ANNA) == new
    assert workplace.document("verify") == {"violations": []}
