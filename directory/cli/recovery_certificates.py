"""`pushpki recovery certificate`: what keys are escrowed to; how its own key comes into being, off line."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate

from ca.errors import EscrowRefused, SharesRefused
from ca.escrow import RecoveryCertificate
from ca.hierarchy import AuthorityName
from ca.recoverykey import SharedRecoveryKey, create_recovery_key
from ca.shares import Share
from directory.cli.keyfiles import read_file
from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, progress, show
from directory.errors import ConfigurationRefused
from directory.recovery_setup import ListedRecoveryCertificate
from directory.workshop import workshop, write_private

app = typer.Typer(no_args_is_help=True)

CERTIFICATE_NAME = "recovery-certificate.pem"
KEY_NAME = "recovery-key.pem"

_PRIVATE = b"PRIVATE KEY-----"


@app.command("create")
def create(
    *,
    folder: Annotated[Path, typer.Option("--dir", help="The folder to create; it must not exist yet.")],
    keeper: Annotated[list[str], typer.Option(help="Who gets a share; repeat for each.")],
    threshold: Annotated[int, typer.Option(help="How many of them open the key together.")] = 2,
    organization: Annotated[str, typer.Option(help="The organization in its name.")] = "pushpki",
    name: Annotated[str, typer.Option(help="Its common name.")] = "Key Recovery",
    as_json: Json = False,
) -> None:
    """Make a recovery key and its certificate, and share the key out. Do it off line; needs no database."""
    if len(set(keeper)) != len(keeper) or not all(_is_file_name(one) for one in keeper):
        raise ConfigurationRefused(
            key="--keeper",
            reason="names of keepers are letters, digits, '-' and '_', each a different one",
        )
    with progress.status("Making the recovery key …"):
        from ca.linting import Linter  # noqa: PLC0415 - half a second, for this command alone

        try:
            made = create_recovery_key(
                AuthorityName(organization=organization, common_name=name),
                datetime.now(UTC),
                Linter(),
                threshold=threshold,
                shares=len(keeper),
            )
        except SharesRefused as error:
            raise ConfigurationRefused(key="--threshold, --keeper", reason=str(error)) from error
    recovery = RecoveryCertificate(made.certificate)
    files = [f"share-{one}.txt" for one in keeper]
    with workshop(folder.absolute()) as being_made:
        _write(being_made, made, recovery.fingerprint, list(zip(keeper, files, strict=True)), threshold)
    lines = [
        f"Recovery certificate {recovery.fingerprint}",
        f"  {folder / CERTIFICATE_NAME}: add it with 'pushpki recovery certificate add'.",
        f"  {folder / KEY_NAME}: keep copies, off line; of no use without {threshold} shares.",
        *(
            f"  {folder / file}: give it to {one}, and destroy it here."
            for one, file in zip(keeper, files, strict=True)
        ),
    ]
    document = {
        "fingerprint": recovery.fingerprint,
        "threshold": threshold,
        "certificate": str(folder / CERTIFICATE_NAME),
        "key": str(folder / KEY_NAME),
        "shares": {one: str(folder / file) for one, file in zip(keeper, files, strict=True)},
    }
    show(document, as_json=as_json, lines=lines)


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="The certificate, PEM or DER; never its key.")],
    *,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Add a certificate that keys may be escrowed to once it is activated."""
    certificate = _certificate_in(file)

    async def work() -> None:
        async with installation(config) as opened:
            await opened.recovery_setup(operator()).add_certificate(certificate)

    run(work())
    lines = [
        f"Recovery certificate {certificate.fingerprint} added.",
        f"Activate it with 'pushpki recovery certificate activate {certificate.fingerprint[:16]}'.",
    ]
    show({"fingerprint": certificate.fingerprint, "active": False}, as_json=as_json, lines=lines)


@app.command("list")
def list_all(*, config: Config = None, as_json: Json = False) -> None:
    """List the recovery certificates, and how many keys are escrowed to each."""

    async def work() -> Sequence[ListedRecoveryCertificate]:
        async with installation(config) as opened:
            return await opened.recovery_setup(operator()).certificates()

    found = run(work())
    lines = [
        f"{one.certificate.fingerprint}\t{'active' if one.active else 'not active'}\t"
        f"{one.escrowed} keys\tuntil {one.certificate.certificate.not_valid_after_utc:%Y-%m-%d}"
        for one in found
    ]
    show(
        {"certificates": [_document(one) for one in found]},
        as_json=as_json,
        lines=lines or ["There is no recovery certificate: nothing can be escrowed."],
    )


@app.command("activate")
def activate(
    fingerprint: Annotated[str, typer.Argument(help="Of the certificate, or at least its first 8 digits.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Escrow to this certificate from now on; what is escrowed to another one opens with that one's key."""
    confirm(f"Escrow keys to {fingerprint} from now on? It cannot be taken back for these keys.", yes=yes)

    async def work() -> ListedRecoveryCertificate:
        async with installation(config) as opened:
            return await opened.recovery_setup(operator()).activate_certificate(fingerprint)

    activated = run(work())
    name = activated.certificate.fingerprint
    show({"fingerprint": name, "active": True}, as_json=as_json, lines=[f"Keys are escrowed to {name} now."])


def read_share(file: Path) -> Share:
    """Read a keeper's share: the words, and lines that begin with #.

    Raises:
        ConfigurationRefused: the file cannot be read, or is no text.
    """
    try:
        lines = read_file("--share", file).decode("ascii").splitlines()
    except UnicodeDecodeError:
        # `from None`: the error holds what was read.
        raise ConfigurationRefused(key="--share", reason=f"{file} is no share") from None
    return Share(" ".join(line for line in lines if not line.startswith("#")))


def _write(
    folder: Path,
    made: SharedRecoveryKey,
    fingerprint: str,
    keepers: Sequence[tuple[str, str]],
    threshold: int,
) -> None:
    (folder / CERTIFICATE_NAME).write_bytes(made.certificate.public_bytes(Encoding.PEM))
    write_private(folder / KEY_NAME, made.file)
    for (keeper, file), share in zip(keepers, made.shares, strict=True):
        text = (
            f"# The share of {keeper} in the recovery key {fingerprint[:16]}.\n"
            f"# {threshold} of {len(keepers)} shares open it. Keep it to yourself, best of all on paper.\n"
            f"{share.reveal()}\n"
        )
        write_private(folder / file, text.encode("ascii"))


def _is_file_name(keeper: str) -> bool:
    return keeper.isascii() and keeper.replace("-", "").replace("_", "").isalnum()


def _certificate_in(file: Path) -> RecoveryCertificate:
    content = read_file("FILE", file)
    if _PRIVATE in content:
        raise ConfigurationRefused(
            key="FILE",
            reason=f"{file} holds a private key, which must never be where this service is",
            remedy=f"take it away, and give {CERTIFICATE_NAME}",
        )
    try:
        is_pem = content.lstrip().startswith(b"-----BEGIN")
        certificate = (load_pem_x509_certificate if is_pem else load_der_x509_certificate)(content)
    except ValueError as error:
        raise ConfigurationRefused(key="FILE", reason=f"{file} is not a certificate") from error
    try:
        return RecoveryCertificate(certificate)
    except EscrowRefused as error:
        raise ConfigurationRefused(
            key="FILE", reason=f"{file}: {error}", remedy="see 'pushpki recovery certificate create'"
        ) from error


def _document(one: ListedRecoveryCertificate) -> dict[str, object]:
    certificate = one.certificate.certificate
    return {
        "fingerprint": one.certificate.fingerprint,
        "subject": certificate.subject.rfc4514_string(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "added_at": one.added_at.isoformat(),
        "active": one.active,
        "escrowed": one.escrowed,
    }
