"""An issuing CA whose key is in a token of SoftHSM2's, certified by a root that is off line."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.keys import same_key
from tests.interop.programs import authorities, mint, run
from tests.interop.softtoken import LABEL, SoftToken, soft_token
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


def test_a_root_off_line_certifies_a_key_that_stays_in_the_token(
    program: Program, installed: Installed, tmp_path: Path
) -> None:
    config = ("--config", str(installed.config))
    key, passphrase = str(tmp_path / "root.pem"), tmp_path / "passphrase"
    request, signed = tmp_path / "issuing.csr", tmp_path / "issuing.pem"
    passphrase.touch(mode=0o600)
    passphrase.write_text("seven words that nobody would think of", encoding="ascii")
    protected = ("--passphrase-file", str(passphrase))
    succeed("ca", "root", "export", "--out", key, *protected, "--yes", *config)

    pending = succeed("ca", "issuing", "csr", "--token", "--out", str(request), *config)
    verified = run([program("openssl"), "req", "-in", str(request), "-verify", "-noout"])
    assert verified.returncode == 0, verified.stderr
    succeed(
        *("ca", "issuing", "sign", "--key", key, *protected, "--csr", str(request)),
        *("--public-url", URL, "--out", str(signed), "--yes"),
    )
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
