"""`pushpki recovery`: certificates, shares and agents; what it refuses, in one line."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from ca.address import Mailbox
from ca.escrow import EscrowedKey, RecoveryCertificate, escrow
from ca.keys import PrivateKey
from directory.cli.recovery import fetch
from directory.errors import StoreUnavailable
from directory.initialization import TLS_CERTIFICATE_NAME
from directory.recovery import Released
from tests.builders import ALICE, JOERG, Authority, a_certificate, a_profile
from tests.command import pushpki
from tests.contracts.world import ANNA, NOW
from tests.directory.cli.test_organizations import add
from tests.directory.cli.workplace import Workplace, the_line_of
from tests.directory.custody import a_recovery


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fresh recovery key, shared by two."""
    folder = tmp_path_factory.mktemp("ceremony") / "safe"
    done = pushpki(
        *("recovery", "certificate", "create", "--dir", str(folder), "--organization", "City Hospital"),
        *("--keeper", "rosa", "--keeper", "ralf"),
    )
    assert done.code == 0, done.err
    share = (folder / "share-rosa.txt").read_text(encoding="ascii").splitlines()[-1]
    assert share.split()[5] not in done.out
    assert "share-ralf.txt: give it to ralf" in done.out
    return folder


def test_what_is_secret_is_for_its_owner_only(safe: Path) -> None:
    modes = {file.name: file.stat().st_mode & 0o777 for file in safe.iterdir()}
    assert safe.stat().st_mode & 0o777 == 0o700
    assert modes["recovery-key.pem"] == modes["share-rosa.txt"] == modes["share-ralf.txt"] == 0o600
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in (safe / "recovery-key.pem").read_bytes()
    assert b"PRIVATE KEY" not in (safe / "recovery-certificate.pem").read_bytes()


@pytest.mark.parametrize("mailbox", [ALICE, JOERG])
def test_an_envelope_is_opened_for_whom_its_certificate_names(
    safe: Path, tmp_path: Path, authority: Authority, recipient_key: PrivateKey, mailbox: Mailbox
) -> None:
    profile = a_profile(international_local_parts=True)
    certificate = a_certificate(authority, recipient_key.public_key(), profile=profile, mailbox=mailbox)
    recovery = x509.load_pem_x509_certificate((safe / "recovery-certificate.pem").read_bytes())
    key = EscrowedKey(private_key=recipient_key, certificate=certificate, chain=authority.chain)
    (tmp_path / "key.p7m").write_bytes(escrow(key, RecoveryCertificate(recovery)))

    done = pushpki(
        *("recovery", "open", str(tmp_path / "key.p7m"), "--key", str(safe / "recovery-key.pem")),
        *(option for keeper in ("rosa", "ralf") for option in ("--share", str(safe / f"share-{keeper}.txt"))),
        *("--out", str(tmp_path / "key.p12"), "--json"),
    )

    assert done.document["address"] == str(mailbox)
    opened = load_pkcs12((tmp_path / "key.p12").read_bytes(), done.document["password"].encode())
    assert opened.cert is not None
    assert opened.cert.certificate == certificate
    assert opened.cert.friendly_name == f"{mailbox} S/MIME 2026-11".encode()


def test_a_certificate_is_added_and_activated(workplace: Workplace, safe: Path) -> None:
    added = workplace.document("recovery", "certificate", "add", str(safe / "recovery-certificate.pem"))
    name = added["fingerprint"]
    assert not added["active"]

    again = ("recovery", "certificate", "add", str(safe / "recovery-certificate.pem"))
    assert "already exists" in workplace.refusal(*again, code=73)
    activated = workplace.document("recovery", "certificate", "activate", name[:12], "--yes")
    assert activated == {"fingerprint": name, "active": True}
    (listed,) = workplace.document("recovery", "certificate", "list")["certificates"]
    assert (listed["fingerprint"], listed["active"], listed["escrowed"]) == (name, True, 0)
    assert listed["subject"] == "CN=Key Recovery,O=City Hospital"
    (line,) = workplace.lines("recovery", "certificate", "list")
    assert line.startswith(f"{name}\tactive\t0 keys\tuntil 20")


@pytest.mark.parametrize("prefix", ["", "0123456", "0123456789abcdef"])
def test_a_fingerprint_that_names_none_is_refused(workplace: Workplace, prefix: str) -> None:
    assert "no recovery certificate" in workplace.refusal(
        "recovery", "certificate", "activate", prefix, "--yes", code=66
    )


def test_the_private_key_has_no_business_here(workplace: Workplace, safe: Path) -> None:
    line = workplace.refusal("recovery", "certificate", "add", str(safe / "recovery-key.pem"), code=78)
    assert "holds a private key" in line


def test_what_is_no_recovery_certificate_is_refused(workplace: Workplace, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing", encoding="ascii")
    assert "is not a certificate" in workplace.refusal(
        "recovery", "certificate", "add", str(nothing), code=78
    )
    tls = workplace.folder / TLS_CERTIFICATE_NAME
    assert "RSA keys of 3072 bits" in workplace.refusal("recovery", "certificate", "add", str(tls), code=78)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--keeper", "rosa"), "at least 2"),
        (("--keeper", "rosa", "--keeper", "rosa"), "--keeper"),
        (("--keeper", "../rosa", "--keeper", "ralf"), "--keeper"),
        (("--keeper", "a", "--keeper", "b", "--threshold", "3"), "at least 2"),
        (("--keeper", "a", "--keeper", "b", "--threshold", "1"), "at least 2"),
    ],
)
def test_a_ceremony_that_protects_nothing_leaves_nothing(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    folder = tmp_path / "safe"
    done = pushpki("recovery", "certificate", "create", "--dir", str(folder), *options)
    assert said in the_line_of(done, 78)
    assert not folder.exists()


def test_an_existing_folder_is_left_alone(safe: Path) -> None:
    options = ("--keeper", "a", "--keeper", "b")
    done = pushpki("recovery", "certificate", "create", "--dir", str(safe), *options)
    assert "exists already" in the_line_of(done, 78)


def test_agents_come_and_go(workplace: Workplace) -> None:
    added = workplace.document("recovery", "agent", "add", "rosa", "--email", "Rosa@keepers.org")
    assert added["token"].startswith("pprc_")
    taken = ("recovery", "agent", "add", "rosa", "--email", "another@keepers.org")
    assert "already exists" in workplace.refusal(*taken, code=73)
    assert workplace.lines("recovery", "agent", "list") == ["rosa\trosa@keepers.org\tactive"]

    workplace.document("recovery", "agent", "remove", "rosa", "--yes")

    assert workplace.lines("recovery", "agent", "list") == ["rosa\trosa@keepers.org\tremoved"]
    assert "no recovery agent" in workplace.refusal("recovery", "agent", "remove", "rosa", "--yes", code=66)
    workplace.document("recovery", "agent", "add", "rosa", "--email", "rosa@keepers.org")


def test_nobody_approves_with_a_token_that_is_nobodys(workplace: Workplace, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("pprc_0011223344556677_00", encoding="ascii")
    refusal = workplace.refusal("recovery", "approve", "0" * 32, "--token-file", str(token), code=78)
    assert "holds no recovery agent's token" in refusal
    assert "pprc" not in refusal


def test_what_is_not_there_is_not_asked_for_nor_fetched(workplace: Workplace, tmp_path: Path) -> None:
    asked = ("recovery", "request", "0" * 32, "--reason", "lost", "--email", "olga@example.org")
    assert "no enrolment" in workplace.refusal(*asked, code=66)
    out = tmp_path / "key.p7m"
    assert "no recovery" in workplace.refusal("recovery", "fetch", "0" * 32, "--out", str(out), code=66)
    assert not out.exists()
    out.write_bytes(b"mine")
    assert "File exists" in workplace.refusal("recovery", "fetch", "0" * 32, "--out", str(out), code=78)
    assert out.read_bytes() == b"mine"
    nowhere = str(tmp_path / "nowhere" / "key.p7m")
    assert "No such file" in workplace.refusal("recovery", "fetch", "0" * 32, "--out", nowhere, code=78)
    assert workplace.document("recovery", "list") == {"recoveries": []}


def nothing() -> None:
    pass


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def break_down() -> None:
    raise StoreUnavailable(reason="gone")


class Desk:
    """Releases an envelope, while and after which something happens."""

    def __init__(
        self, *, meanwhile: Callable[[], None] = nothing, afterwards: Callable[[], None] = nothing
    ) -> None:
        self._meanwhile = meanwhile
        self._afterwards = afterwards

    @asynccontextmanager
    async def installation(self, _config: Path | None) -> AsyncIterator["Desk"]:
        yield self
        self._afterwards()

    def recovery_desk(self) -> "Desk":
        return self

    async def fetch(self, *_: object, **__: object) -> Released:
        self._meanwhile()
        await asyncio.sleep(0)
        recovery = a_recovery("enrolment-1", ANNA, NOW)
        return Released(recovery=recovery, envelope=b"the envelope", recipient_is_told=True)


@pytest.mark.parametrize(
    ("desk", "error"),
    [
        (Desk(meanwhile=interrupt), KeyboardInterrupt),
        (Desk(afterwards=interrupt), KeyboardInterrupt),
        (Desk(afterwards=break_down), StoreUnavailable),
    ],
)
def test_what_was_released_is_not_lost_whatever_happens_then(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, desk: Desk, error: type[BaseException]
) -> None:
    monkeypatch.setattr("directory.cli.recovery.installation", desk.installation)
    out = tmp_path / "key.p7m"

    with pytest.raises(error):
        fetch("recovery-1", out=out)

    assert out.read_bytes() == b"the envelope"


def test_where_nothing_was_released_no_file_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("directory.cli.recovery.installation", Desk(meanwhile=break_down).installation)
    out = tmp_path / "key.p7m"

    with pytest.raises(StoreUnavailable):
        fetch("recovery-1", out=out)

    assert not out.exists()


def test_an_organization_says_what_becomes_of_its_keys(workplace: Workplace) -> None:
    added = workplace.document(*add("keeping", domain="keeping.com", mail_from="keys@keeping.com"))
    assert (added["end_of_hold"], added["escrow_signing_keys"]) == ("destroy", False)

    changed = workplace.document("org", "set", "keeping", "--end-of-hold", "escrow", "--escrow-signing-keys")

    assert (changed["end_of_hold"], changed["escrow_signing_keys"]) == ("escrow", True)
    listed = workplace.document("org", "list")["organizations"]
    assert {one["slug"]: one["end_of_hold"] for one in listed}["keeping"] == "escrow"
    back = workplace.document("org", "set", "keeping", "--no-escrow-signing-keys")
    assert (back["end_of_hold"], back["escrow_signing_keys"]) == ("escrow", False)


def test_an_organization_may_escrow_from_its_first_day(workplace: Workplace) -> None:
    added = workplace.document(
        *add("keeper", domain="keeper.com", mail_from="keys@keeper.com"), "--end-of-hold", "escrow"
    )
    assert added["end_of_hold"] == "escrow"
