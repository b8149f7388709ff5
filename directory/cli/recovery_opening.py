"""`pushpki recovery open`: keepers join their shares, off line, and make the recipient a new key package."""

from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from ca.address import Mailbox
from ca.errors import AddressRefused, CaError
from ca.escrow import EscrowedKey, open_escrow
from ca.keypackage import KeyPackageFormat, build_key_package, friendly_name_for
from ca.mailnames import mailboxes_of
from ca.passwords import Password, PasswordRule, PasswordStyle, generate
from ca.recoverykey import open_recovery_key
from directory.cli.keyfiles import read_file, take_place
from directory.cli.output import Json, show
from directory.cli.recovery_certificates import read_share
from directory.errors import ConfigurationRefused


def open_envelope(
    file: Annotated[Path, typer.Argument(help="The envelope, as 'recovery fetch' has written it.")],
    *,
    key: Annotated[Path, typer.Option(help="The file with the recovery key.")],
    share: Annotated[list[Path], typer.Option(help="The file with a keeper's share; repeat for more.")],
    out: Annotated[Path, typer.Option(help="The key package to create, such as key.p12.")],
    package_format: Annotated[
        KeyPackageFormat, typer.Option(help="Of the key package: for unknown devices, or for modern ones.")
    ] = KeyPackageFormat.COMPATIBLE,
    password_style: Annotated[
        PasswordStyle, typer.Option(help="Of its password.")
    ] = PasswordStyle.CHARACTERS,
    as_json: Json = False,
) -> None:
    """Open an escrowed key, off line, and make a key package of it under a new password, shown once."""
    escrowed = _opened(file, key, share)
    password = generate(PasswordRule.usual(password_style))
    try:
        package = _package(escrowed, password, package_format)
    except CaError as error:
        raise ConfigurationRefused(key="FILE", reason=f"{file}: {error}") from error
    take_place("--out", out)
    out.write_bytes(package)
    address = str(_mailbox(escrowed.certificate))
    lines = [
        f"The key of {address} is in {out}, under a new password, which is shown this once:",
        password.reveal(),
        "Bring him the file by one way and the password by another. Then destroy what is left here.",
    ]
    document = {"address": address, "file": str(out), "password": password.reveal()}
    show(document, as_json=as_json, lines=lines)


def _opened(file: Path, key: Path, shares: list[Path]) -> EscrowedKey:
    envelope, locked = read_file("FILE", file), read_file("--key", key)
    try:
        recovery = open_recovery_key(locked, [read_share(one) for one in shares])
    except CaError as error:
        raise ConfigurationRefused(key="--key, --share", reason=str(error)) from error
    try:
        return open_escrow(envelope, recovery.key, recovery.certificate)
    except CaError as error:
        raise ConfigurationRefused(key="FILE", reason=f"{file}: {error}") from error


def _package(escrowed: EscrowedKey, password: Password, package_format: KeyPackageFormat) -> bytes:
    return build_key_package(
        private_key=escrowed.private_key,
        certificate=escrowed.certificate,
        chain=escrowed.chain,
        password=password,
        package_format=package_format,
        friendly_name=friendly_name_for(_mailbox(escrowed.certificate), escrowed.certificate),
    )


def _mailbox(certificate: x509.Certificate) -> Mailbox:
    """Return whose key it is.

    Raises:
        AddressRefused: the certificate names no address, or none that is acceptable.
    """
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    mailboxes = mailboxes_of(names)
    if not mailboxes:
        raise AddressRefused(code="address.missing", reason="the certificate names no address")
    return mailboxes[0]
