"""Mail that is encrypted to a minted key: openssl and gpgsm open it with the key package as it was mailed."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from ca.keypackage import KeyPackageFormat
from directory.delivery.enveloping import enveloped_for
from directory.delivery.packing import pack
from tests.directory.delivery.builders import PASSWORD, a_due_mail, a_sealer
from tests.interop.programs import run

Find = Callable[[str], str]
ENTITY = b"Content-Type: text/plain; charset=utf-8\r\n\r\nGr\xc3\xbc\xc3\x9fe.\r\n" * 40


@pytest.fixture
def folder() -> Iterator[Path]:
    # A short path: gpgsm makes sockets in it.
    with tempfile.TemporaryDirectory(prefix="opened-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def the_mail_and_the_key_package(folder: Path) -> tuple[bytes, Path]:
    mail = a_due_mail(package_format=KeyPackageFormat.COMPATIBLE)
    package = pack(mail, a_sealer())
    _, certificate, _ = pkcs12.load_key_and_certificates(package, PASSWORD.encode())
    assert certificate is not None
    (folder / "key.p12").write_bytes(package)
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    return enveloped_for(certificate)(ENTITY), folder / "key.p12"


def test_openssl_opens_it(program: Find, folder: Path) -> None:
    openssl = program("openssl")
    entity, package = the_mail_and_the_key_package(folder)
    key = folder / "key.pem"
    taken_out = run(
        [openssl, "pkcs12", "-in", str(package), "-nocerts", "-noenc", "-passin", "stdin", "-out", str(key)],
        data=PASSWORD.encode(),
    )
    assert taken_out.returncode == 0, taken_out.stderr

    recipient = ("-inkey", str(key), "-recip", str(folder / "certificate.pem"))
    opened = run(
        [openssl, "cms", "-decrypt", "-inform", "SMIME", *recipient],
        data=b"MIME-Version: 1.0\r\n" + entity,
    )

    assert opened.returncode == 0, opened.stderr
    assert opened.stdout == ENTITY


def test_gpgsm_opens_it(program: Find, folder: Path) -> None:
    gpgsm, gpgconf = program("gpgsm"), program("gpgconf")
    entity, package = the_mail_and_the_key_package(folder)
    variables = {"GNUPGHOME": str(folder)}
    # The agent asks for the passphrase of the key as it keeps it: none.
    (folder / "gpg-agent.conf").write_text("allow-loopback-pinentry\n", encoding="ascii")
    options = [gpgsm, "--batch", "--no-tty", "--pinentry-mode", "loopback", "--disable-crl-checks"]
    options += ["--passphrase-fd", "0"]

    def import_(file: Path) -> CompletedProcess[bytes]:
        return run([*options, "--import", str(file)], variables=variables, data=PASSWORD.encode() + b"\n")

    try:
        imported = import_(package)
        for _ in range(8):
            # With some salts gpgsm 2.2 derives wrong keys (see test_key_package_imports.py).
            if b"secret keys imported: 1" in imported.stderr:
                break
            entity, package = the_mail_and_the_key_package(folder)
            imported = import_(package)
        body = entity.partition(b"\r\n\r\n")[2]
        (folder / "smime.p7m").write_bytes(body)
        opened = run(
            [*options, "--assume-base64", "--decrypt", str(folder / "smime.p7m")],
            variables=variables,
            data=PASSWORD.encode() + b"\n",
        )
    finally:
        run([gpgconf, "--kill", "all"], variables=variables)

    assert b"secret keys imported: 1" in imported.stderr, imported.stderr
    assert opened.stdout == ENTITY, opened.stderr
