"""An issuing CA whose key is in a token of SoftHSM2's, certified by a root that is off line."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.keys import same_key
from ca.pkcs11 import TokenLimits, TokenThread
from ca.pkcs11.driver import Pkcs11Driver
from directory.cli.opening import installation
from directory.wiring.sparekeys import spare_keys
from tests.command import pushpki
from tests.interop.programs import authorities, mint, run
from tests.interop.softtoken import LABEL, PIN, SoftToken, soft_token
from tests.postbox import Postbox
from tests.service import UNHURRIED, Installed, install, serving, succeed

Program = Callable[[str], str]
VARIABLES = {**UNHURRIED, "PUSHPKI_PKCS11__TIMEOUT_SECONDS": "4"}
URL = "http://pki.example.com"


@pytest.fixture(scope="module")
def token(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftToken]:
    with soft_token(program, tmp_path_factory.mktemp("softhsm")) as made:
        yield made


@pytest.fixture
def installed(token: SoftToken, mail: Postbox, tmp_path: Path) -> Installed:
    options = (*token.init_options, "--token-keys", "issuing")
    return install(tmp_path / "pushpki", smtp=mail.smtp, init=options)


def signed_off_line(config: tuple[str, str], folder: Path, request: Path) -> Path:
    """Take the root off line, and have it sign a request; return where the certificate is."""
    key, passphrase, signed = str(folder / "root.pem"), folder / "passphrase", folder / "issuing.pem"
    passphrase.touch(mode=0o600)
    passphrase.write_text("seven words that nobody would think of", encoding="ascii")
    protected = ("--passphrase-file", str(passphrase))
    succeed("ca", "root", "export", "--out", key, *protected, "--yes", *config)
    succeed(
        *("ca", "issuing", "sign", "--key", key, *protected, "--csr", str(request)),
        *("--public-url", URL, "--out", str(signed), "--yes"),
    )
    return signed


def keys_there(config: tuple[str, str]) -> dict[str, bool]:
    """Return the keys in the token, and whether each is to be destroyed."""
    return {key["key_id"]: key["spare"] for key in succeed("ca", "token", "list", *config)["keys"]}


def test_a_root_off_line_certifies_a_key_that_stays_in_the_token(
    program: Program, installed: Installed, tmp_path: Path
) -> None:
    config, request = ("--config", str(installed.config)), tmp_path / "issuing.csr"

    pending = succeed("ca", "issuing", "csr", "--token", "--out", str(request), *config)
    verified = run([program("openssl"), "req", "-in", str(request), "-verify", "-noout"])
    assert verified.returncode == 0, verified.stderr
    signed = signed_off_line(config, tmp_path, request)
    imported = succeed("ca", "issuing", "import", str(signed), *config)
    succeed("ca", "issuing", "activate", imported["id"], *config)

    assert imported["id"] == pending["id"]
    owners = {key["issuer"] for key in succeed("ca", "token", "list", *config)["keys"]}
    assert imported["subject"] in owners
    assert imported["id"] in succeed("ca", "token", "test", *config)["issuers"]
    listed = {one["id"]: one["key"] for one in succeed("ca", "list", *config)["issuers"]}
    assert listed[imported["id"]] == f"token {LABEL}"
    with serving(installed, variables=VARIABLES) as running:
        _, der = mint(program, running)
        every = authorities(program, running)
    certified = x509.load_pem_x509_csr(request.read_bytes()).public_key()
    issuing = next(one for one in every if same_key(one.public_key(), certified))
    root = next(one for one in every if one.issuer == one.subject)
    x509.load_der_x509_certificate(der).verify_directly_issued_by(issuing)
    for name, one in (("root", root), ("issuing", issuing), ("leaf", x509.load_der_x509_certificate(der))):
        (tmp_path / name).write_bytes(one.public_bytes(Encoding.PEM))
    chain = run(
        [
            *(program("openssl"), "verify", "-x509_strict", "-CAfile", str(tmp_path / "root")),
            *("-untrusted", str(tmp_path / "issuing"), str(tmp_path / "leaf")),
        ]
    )
    assert chain.returncode == 0, chain.stderr
    assert succeed("verify", *config) == {"violations": []}


def test_a_request_is_withdrawn_with_its_key_or_before_it(
    installed: Installed, token: SoftToken, tmp_path: Path
) -> None:
    config, request = ("--config", str(installed.config)), str(tmp_path / "issuing.csr")
    before = keys_there(config)
    at_once, later = [
        succeed("ca", "issuing", "csr", "--token", "--key", "p-256", "--out", request, *config)["id"]
        for _ in range(2)
    ]
    assert len(keys_there(config)) == len(before) + 2

    assert succeed("ca", "issuing", "withdraw", at_once, "--yes", *config)["key"] == "destroyed"
    assert len(keys_there(config)) == len(before) + 1
    token.take_away()
    try:
        said = succeed("ca", "issuing", "withdraw", later, "--yes", *config)
    finally:
        token.bring_back()

    assert said == {"withdrawn": later, "key": "to be destroyed"}
    assert sum(keys_there(config).values()) == 1
    asyncio.run(clear_as_a_service_does(installed.config))
    assert keys_there(config) == before
    assert succeed("verify", *config) == {"violations": []}


async def clear_as_a_service_does(config: Path) -> None:
    async with installation(config) as opened:
        assert opened.token is not None
        await spare_keys(opened, opened.token).clear()


def test_a_certificate_whose_key_was_deleted_in_the_token_is_refused_and_its_request_withdrawn(
    installed: Installed, token: SoftToken, tmp_path: Path
) -> None:
    config, request = ("--config", str(installed.config)), tmp_path / "issuing.csr"
    before = keys_there(config)
    pending = succeed("ca", "issuing", "csr", "--token", "--key", "p-256", "--out", str(request), *config)
    signed = signed_off_line(config, tmp_path, request)
    (key_id,) = keys_there(config).keys() - before.keys()
    thread = TokenThread(Pkcs11Driver(token.module, LABEL, lambda: PIN), TokenLimits(sign=60, connect=60))
    try:
        assert thread.destroy(bytes.fromhex(key_id))
    finally:
        thread.close()

    refused = pushpki("ca", "issuing", "import", str(signed), *config)

    assert refused.code == 70
    assert f"the key of request {pending['id']} is lost" in refused.err
    assert succeed("ca", "issuing", "withdraw", pending["id"], "--yes", *config)["key"] == "destroyed"
    assert keys_there(config) == before
