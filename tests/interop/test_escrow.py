"""What is escrowed opens without our program: openssl, the recovery key, and a new key package made of it."""

from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from ca.escrow import EscrowedKey, escrow
from ca.keys import PrivateKey, same_key
from ca.recoverykey import create_recovery_key
from ca.shares import join
from tests.builders import NOW, Authority, a_certificate
from tests.interop.programs import run
from tests.recoverykeys import NAME, a_recovery_certificate, a_recovery_key

Find = Callable[[str], str]
PASSWORD = "new password"


def test_openssl_opens_an_escrowed_key_and_makes_a_key_package_of_it(
    program: Find, authority: Authority, recipient_key: PrivateKey, tmp_path: Path
) -> None:
    openssl = program("openssl")
    own = a_certificate(authority, recipient_key.public_key())
    escrowed = EscrowedKey(private_key=recipient_key, certificate=own, chain=authority.chain)
    (tmp_path / "key.p7m").write_bytes(escrow(escrowed, a_recovery_certificate()))
    certificate, key = a_recovery_key()
    (tmp_path / "recovery.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "recovery.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )

    opened = run(
        [
            *(openssl, "cms", "-decrypt", "-inform", "DER", "-in", str(tmp_path / "key.p7m")),
            *("-recip", str(tmp_path / "recovery.pem"), "-inkey", str(tmp_path / "recovery.key")),
        ]
    )
    assert opened.returncode == 0, opened.stderr
    found = load_pem_private_key(opened.stdout, None)
    assert isinstance(found, RSAPrivateKey)
    assert same_key(found.public_key(), own.public_key())

    packed = run(
        [openssl, "pkcs12", "-export", "-passout", f"pass:{PASSWORD}"],
        data=opened.stdout,
    )
    assert packed.returncode == 0, packed.stderr
    _, certified, chain = pkcs12.load_key_and_certificates(packed.stdout, PASSWORD.encode())
    assert certified == own
    assert set(chain) == set(authority.chain)


def test_openssl_says_to_whom_and_how_an_envelope_is_sealed(
    program: Find, authority: Authority, recipient_key: PrivateKey, tmp_path: Path
) -> None:
    openssl = program("openssl")
    own = a_certificate(authority, recipient_key.public_key())
    escrowed = EscrowedKey(private_key=recipient_key, certificate=own, chain=authority.chain)
    file = tmp_path / "key.p7m"
    file.write_bytes(escrow(escrowed, a_recovery_certificate()))

    printed = run([openssl, "cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", str(file)])

    assert printed.returncode == 0, printed.stderr
    assert b"pkcs7-envelopedData" in printed.stdout
    assert b"aes-256-cbc" in printed.stdout
    assert b"Example Key Recovery 2026" in printed.stdout


def test_openssl_opens_a_recovery_key_whose_shares_were_joined(
    program: Find, authority: Authority, tmp_path: Path
) -> None:
    openssl = program("openssl")
    made = create_recovery_key(NAME, NOW, authority.linter, threshold=2, shares=3)
    (tmp_path / "recovery.pem").write_bytes(made.file)

    opened = run(
        [openssl, "pkey", "-in", str(tmp_path / "recovery.pem"), "-passin", "stdin", "-pubout"],
        data=join(made.shares[1:]).hex().encode(),
    )

    assert opened.returncode == 0, opened.stderr
    assert b"BEGIN PUBLIC KEY" in opened.stdout
