"""`pushpki org password-mail`: to a mailbox of the organization's own, under a certificate that fits."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.directory.cli.test_organizations import add
from tests.directory.cli.workplace import Workplace

MAILBOX = "desk@phoning.com"


@pytest.fixture
def phoning(workplace: Workplace) -> Workplace:
    workplace.document(*add("phoning", domain="phoning.com", mail_from="keys@phoning.com"))
    return workplace


def a_certificate(
    folder: Path,
    *,
    mailbox: str = MAILBOX,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
    days: int = 365,
    encoding: Encoding = Encoding.PEM,
) -> Path:
    key = key or rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Desk")])
    # The command's clock is the system's.
    since = datetime.now(UTC) - timedelta(days=30)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(since)
        .not_valid_after(since + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(mailbox)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "desk.crt"
    file.write_bytes(certificate.public_bytes(encoding))
    return file


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_is_set_and_removed(phoning: Workplace, tmp_path: Path, encoding: Encoding) -> None:
    file = a_certificate(tmp_path, encoding=encoding)

    set_up = phoning.document("org", "password-mail", "phoning", MAILBOX, str(file))
    removed = phoning.document("org", "password-mail", "phoning", "--remove")

    assert (set_up["password_mail"], removed["password_mail"]) == (MAILBOX, None)


@pytest.mark.parametrize(
    ("deviation", "reason"),
    [
        ({"mailbox": "other@phoning.com"}, "is not for desk@phoning.com"),
        ({"purpose": ExtendedKeyUsageOID.SERVER_AUTH}, "is not for mail"),
        ({"days": 20}, "is not valid now"),
        ({"key": ec.generate_private_key(ec.SECP256R1())}, "RSA"),
        ({"key": rsa.generate_private_key(65537, 1024)}, "1024 bits"),  # noqa: S505 - what is refused
    ],
)
def test_refuses_a_certificate_that_does_not_fit(
    phoning: Workplace, tmp_path: Path, deviation: dict[str, object], reason: str
) -> None:
    file = a_certificate(tmp_path, **deviation)  # type: ignore[arg-type]  # one deviation each

    assert reason in phoning.refusal("org", "password-mail", "phoning", MAILBOX, str(file), code=78)


def test_refuses_a_mailbox_of_somebody_else(phoning: Workplace, tmp_path: Path) -> None:
    file = a_certificate(tmp_path, mailbox="desk@gmail.com")

    refusal = phoning.refusal("org", "password-mail", "phoning", "desk@gmail.com", str(file), code=78)

    assert "none of the organization's domains" in refusal


def test_refuses_what_is_no_certificate(phoning: Workplace, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("-----BEGIN nothing", encoding="ascii")

    for file in ("x", "missing"):
        arguments = ("org", "password-mail", "phoning", MAILBOX, str(tmp_path / file))
        assert "CERTIFICATE" in phoning.refusal(*arguments, code=78)
    assert "--remove" in phoning.refusal("org", "password-mail", "phoning", MAILBOX, code=78)
