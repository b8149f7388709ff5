"""`pushpki ca cross`: taken in, listed, removed; signed here and off line, put on record, revoked."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.hierarchy import AuthorityName
from ca.issuerimport import fingerprint
from ca.keys import KeyAlgorithm, generate
from tests.ca.strangers import Stranger
from tests.command import pushpki
from tests.directory.cli.workplace import Workplace, the_line_of

NOW = datetime.now(UTC).replace(microsecond=0)
BEGIN, END = NOW - timedelta(days=1), NOW + timedelta(days=3650)
OTHER = AuthorityName(organization="Other", common_name="Other Issuing CA").distinguished_name
PERMIT = ("--permit", "other.example")
Written = Callable[[str, x509.Certificate], str]


@pytest.fixture(scope="module")
def friend() -> Stranger:
    """Somebody else's root."""
    return Stranger("Friendly Root", not_before=BEGIN, not_after=END)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(name: str, certificate: x509.Certificate) -> str:
        (tmp_path / name).write_bytes(certificate.public_bytes(Encoding.PEM))
        return str(tmp_path / name)

    return write


def other_ca(friend: Stranger) -> x509.Certificate:
    key = generate(KeyAlgorithm.RSA_2048).public_key()
    return friend.certify(OTHER, key, not_before=BEGIN, not_after=END)


def test_what_another_ca_certifies_is_taken_in_shown_and_removed(
    workplace: Workplace, friend: Stranger, written: Written
) -> None:
    root = workplace.document("ca", "list")["issuers"][0]
    own = x509.load_pem_x509_certificate(workplace.document("ca", "show", root["id"])["certificate"].encode())
    crossed = friend.certify(own.subject, own.public_key(), not_before=BEGIN, not_after=END)
    trust = fingerprint(friend.certificate).hex()
    command = ("ca", "cross", "import", written("crossed.pem", crossed))
    chain = ("--chain", written("above.pem", friend.certificate))

    assert "not at hand" in workplace.refusal(*command, "--trust", trust, code=65)
    assert trust in workplace.refusal(*command, *chain, code=65)
    taken = workplace.document(*command, *chain, "--trust", trust)

    assert (taken["id"], taken["issuer"]) == (fingerprint(crossed).hex(), root["id"])
    assert taken["certified_by"] == "CN=Friendly Root"
    assert "already exists" in workplace.refusal(*command, *chain, "--trust", trust, code=73)
    assert workplace.document("ca", "cross", "list") == {"cross_certificates": [taken], "signed": []}
    shown = workplace.document("ca", "show", root["id"])
    assert x509.load_pem_x509_certificates(shown["cross_certificates"].encode()) == [crossed]
    assert any("CN=Friendly Root" in line for line in workplace.lines("cps"))
    assert [one["cross_certified"] for one in workplace.document("ca", "list")["issuers"]] == ["1", "0"]
    (line,) = workplace.lines("ca", "cross", "list")
    assert "CN=Friendly Root" in line
    workplace.document("ca", "crl", "issue")
    assert workplace.document("verify") == {"violations": []}

    assert "--yes" in workplace.refusal("ca", "cross", "remove", taken["id"], code=78)
    assert workplace.document("ca", "cross", "remove", taken["id"][:8], "--yes") == {"removed": taken["id"]}
    assert workplace.document("ca", "cross", "list")["cross_certificates"] == []


def test_our_root_certifies_another_ca_and_revokes_that(
    workplace: Workplace, friend: Stranger, written: Written, tmp_path: Path
) -> None:
    out, theirs = tmp_path / "signed.pem", written("theirs.pem", other_ca(friend))
    command = ("ca", "cross", "sign", theirs, *PERMIT, "--out", str(out))

    assert "--yes" in workplace.refusal(*command, code=78)
    assert "No CA of others is certified." in workplace.lines("cps")
    signed = workplace.document(*command, "--yes")

    (stated,) = [line for line in workplace.lines("cps") if "CN=Other Issuing CA" in line]
    assert "permitted other.example" in stated
    assert "| valid |" in stated
    certificate = x509.load_pem_x509_certificate(out.read_bytes())
    assert certificate.subject == OTHER
    (listed,) = workplace.document("ca", "cross", "list")["signed"]
    assert (listed["serial"], listed["revoked_at"]) == (signed["serial"], None)
    assert "valid" in workplace.lines("ca", "cross", "list")[0]

    revoked = workplace.document("revoke", "--serial", signed["serial"], "--yes")["revoked"]
    assert revoked == [{"address": None, "serial": signed["serial"]}]
    (listed,) = workplace.document("ca", "cross", "list")["signed"]
    assert listed["revoked_at"] is not None
    assert any("| revoked on " in line for line in workplace.lines("cps") if "CN=Other Issuing CA" in line)
    crls = workplace.document("ca", "crl", "issue")["crls"]
    assert {one["issuer"]: one["entries"] for one in crls}[listed["issuer"]] == 1
    assert workplace.document("verify") == {"violations": []}


def test_a_root_that_is_off_line_certifies_with_its_key_file(
    workplace: Workplace, friend: Stranger, written: Written, tmp_path: Path
) -> None:
    passphrase, key, out = tmp_path / "passphrase", tmp_path / "root.pem", tmp_path / "signed.pem"
    passphrase.touch(mode=0o600)
    passphrase.write_text("words that nobody would think of")
    protected = ("--passphrase-file", str(passphrase))
    root = workplace.document("ca", "root", "export", "--out", str(key), *protected, "--yes")["id"]
    theirs = written("theirs.pem", other_ca(friend))
    command = ("ca", "cross", "sign", theirs, *PERMIT, "--out", str(out), "--yes")
    assert "--key" in workplace.refusal(*command, code=78)
    elsewhere = (*command, "--key", str(key), *protected)
    another = the_line_of(
        pushpki(*elsewhere, "--root", "abcdef", "--public-url", "http://pki.example.com"), 78
    )
    assert f"--root: the key file is that of root {root}" in another
    assert "--public-url" in the_line_of(pushpki(*elsewhere), 78)

    named = (*elsewhere, "--root", root[:8].upper())
    done = pushpki(*named, "--public-url", "http://pki.example.com", "--json").document

    recorded = workplace.document("ca", "cross", "record", str(out))
    assert (recorded["serial"], recorded["issuer"]) == (done["serial"], root)
    assert "already exists" in workplace.refusal("ca", "cross", "record", str(out), code=73)


def test_what_is_no_ca_is_not_certified(workplace: Workplace, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_bytes(b"nothing")

    refusal = workplace.refusal(
        *("ca", "cross", "sign", str(nothing), *PERMIT, "--out", str(tmp_path / "out.pem"), "--yes"), code=78
    )

    assert "FILE" in refusal
    assert not (tmp_path / "out.pem").exists()
