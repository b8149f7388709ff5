"""OCSP responders whose keys are in a token of SoftHSM2's."""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.databases import Databases
from tests.interop.programs import authorities, mint, run
from tests.interop.softtoken import LABEL, SoftToken, soft_token
from tests.postbox import Postbox
from tests.service import UNHURRIED, Installed, Running, install, serving, succeed

Program = Callable[[str], str]
VARIABLES = {
    **UNHURRIED,
    "PUSHPKI_PKCS11__TIMEOUT_SECONDS": "4",
    "PUSHPKI_CA__OCSP_RESPONDER_KEY": "token",
}
WITHIN_SECONDS = 60
"""Six times what is promised: the machine may be busy with other things."""
TWO_WORKERS = ("-m", "directory", "serve", "--workers", "2")
MET_BOTH = 12
"""Whoever connects so often has met both workers."""


@pytest.fixture(scope="module")
def token(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftToken]:
    with soft_token(program, tmp_path_factory.mktemp("softhsm")) as made:
        yield made


@pytest.fixture(scope="module")
def installed(token: SoftToken, mail: Postbox, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("token") / "pushpki"
    return install(folder, smtp=mail.smtp, init=token.init_options)


@pytest.fixture(scope="module")
def service(installed: Installed) -> Iterator[Running]:
    with serving(installed, variables=VARIABLES) as running:
        yield running


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """OpenSSL, as it asks the service and judges what it is told."""

    openssl: str
    folder: Path
    url: str

    def verdict(self, der: bytes) -> str:
        """Ask about a certificate; return "good", or all that was said instead."""
        leaf = self.folder / "leaf"
        leaf.write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
        said = self._said("-cert", str(leaf))
        return "good" if "Response verify OK" in said and ": good" in said else said

    def responder(self) -> str:
        """Return the serial number of whoever signs now: of an answer that nobody remembers."""
        began = time.monotonic()
        while "trylater" in (said := self._said("-serial", str(secrets.randbits(100)), "-resp_text")):
            assert time.monotonic() - began < WITHIN_SECONDS  # the first is certified behind the start
        assert "Response verify OK" in said, said
        return said.rpartition("Serial Number:")[2].partition("Signature Algorithm")[0].strip()

    def _said(self, *arguments: str) -> str:
        done = run(
            [
                *(self.openssl, "ocsp", "-issuer", str(self.folder / "issuing"), *arguments),
                *("-CAfile", str(self.folder / "chain"), "-url", self.url),
            ]
        )
        return (done.stdout + done.stderr).decode()


def asker_of(program: Program, running: Running, folder: Path) -> Asker:
    issuing, root = (one.public_bytes(Encoding.PEM) for one in authorities(program, running))
    (folder / "issuing").write_bytes(issuing)
    (folder / "chain").write_bytes(issuing + root)
    asker = Asker(openssl=program("openssl"), folder=folder, url=f"{running.http}/ocsp")
    asker.responder()
    return asker


@pytest.fixture
def asker(program: Program, service: Running, tmp_path: Path) -> Asker:
    return asker_of(program, service, tmp_path)


def key_id_of(issuing: x509.Certificate) -> str:
    return issuing.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()


def keys_of_responders(config: Path) -> dict[str, str | None]:
    listed = succeed("ca", "token", "list", "--config", str(config))["keys"]
    return {key["key_id"]: key["issuer"] for key in listed if key["algorithm"] == "rsa-2048"}


def test_openssl_believes_a_responder_whose_key_is_in_the_token(
    program: Program, service: Running, asker: Asker
) -> None:
    _, der = mint(program, service)

    assert asker.verdict(der) == "good"

    (owner,) = keys_of_responders(service.installed.config).values()
    assert owner is not None
    assert owner.startswith("OCSP responder 1 of CN=")
    tried = succeed("ca", "token", "test", "--config", str(service.installed.config))
    assert tried["token"] == LABEL
    assert succeed("verify", "--config", str(service.installed.config)) == {"violations": []}


def test_while_the_token_is_away_what_was_signed_is_answered_and_afterwards_the_rest(
    program: Program, service: Running, token: SoftToken, asker: Asker
) -> None:
    _, known = mint(program, service)
    _, unknown = mint(program, service)
    assert asker.verdict(known) == "good"
    token.take_away()
    try:
        assert "trylater" in asker.verdict(unknown)
        assert asker.verdict(known) == "good"
    finally:
        token.bring_back()

    began = time.monotonic()
    while asker.verdict(unknown) != "good":
        assert time.monotonic() - began < WITHIN_SECONDS
    log = (service.installed.folder / "serve.log").read_text(encoding="utf-8")
    assert "could not be signed" not in log


def test_a_running_service_takes_up_the_next_one_and_the_one_before_is_marked(
    program: Program, service: Running, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = asker.responder()
    (former,) = keys_of_responders(service.installed.config)
    issuing, _ = authorities(program, service)
    key_id = key_id_of(issuing)
    monkeypatch.setenv("PUSHPKI_CA__OCSP_RESPONDER_KEY", "token")

    renewed = succeed("ca", "responder", "renew", key_id, "--config", str(service.installed.config))

    assert renewed["key"] == f"token {LABEL}"
    began = time.monotonic()
    while asker.responder() == before:
        assert time.monotonic() - began < WITHIN_SECONDS
    keys = succeed("ca", "token", "list", "--config", str(service.installed.config))["keys"]
    spare = {key["key_id"]: key["spare"] for key in keys if key["algorithm"] == "rsa-2048"}
    assert len(spare) == 2
    assert [key_id for key_id, is_spare in spare.items() if is_spare] == [former]


def test_several_workers_sign_with_one_key_and_all_take_up_the_next(
    program: Program,
    token: SoftToken,
    mail: Postbox,
    databases: Databases,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = install(
        tmp_path / "pushpki",
        smtp=mail.smtp,
        database=databases.empty("postgresql"),
        init=token.init_options,
    )
    monkeypatch.setenv("PUSHPKI_CA__OCSP_RESPONDER_KEY", "token")
    with serving(installed, variables=VARIABLES, command=TWO_WORKERS) as running:
        asker = asker_of(program, running, tmp_path)
        (first,) = {asker.responder() for _ in range(MET_BOTH)}
        issuing, _ = authorities(program, running)

        succeed("ca", "responder", "renew", key_id_of(issuing), "--config", str(installed.config))

        began = time.monotonic()
        while len(signing := {asker.responder() for _ in range(MET_BOTH)}) > 1 or first in signing:
            assert time.monotonic() - began < WITHIN_SECONDS
    owned = [owner for owner in keys_of_responders(installed.config).values() if owner is not None]
    assert len(owned) == 1
    assert owned[0].startswith("OCSP responder 2 of CN=")
    assert succeed("verify", "--config", str(installed.config)) == {"violations": []}
