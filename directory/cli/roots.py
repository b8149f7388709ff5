"""`pushpki ca root`, and what else is done where a root is off line: without database and configuration."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.carequests import read_ca_request
from ca.crlrequests import read_crl_request
from ca.errors import KeyFileUnusable, KeyRefused, ProfileRefused
from ca.keys import algorithm_of
from ca.offline import LONGEST_CRL, OfflineCa, read_key_file
from ca.publication import Publication
from ca.signing import SignatureScheme
from directory.cli.keyfiles import read_file
from directory.cli.opening import Config, confirm, installation_with_issuers, operator, run
from directory.cli.output import Json, progress, show
from directory.clock import SystemClock
from directory.crls import StoredCrl
from directory.errors import ConfigurationRefused
from directory.issuing import issuing_profile
from directory.roots import USUAL_CRL
from directory.settings import read_secret_file
from directory.workshop import write_private

app = typer.Typer(no_args_is_help=True)

PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File, mode 0600, with the key file's passphrase; else asked."),
]
KeyFile = Annotated[Path, typer.Option("--key", help="The key file that ca root export has written.")]
CrlDays = Annotated[
    int, typer.Option(min=1, max=LONGEST_CRL.days, help="How many days the root's CRL holds.")
]
Scheme = Annotated[
    SignatureScheme, typer.Option("--signature", help="How an RSA key signs, as [ca] signature says.")
]


@app.command("export")
def export(
    *,
    out: Annotated[Path, typer.Option("--out", help="The key file to be written, on what is taken away.")],
    passphrase_file: PassphraseFile = None,
    root: Annotated[str | None, typer.Option("--root", help="Which one, if there are several.")] = None,
    crl_days: CrlDays = USUAL_CRL.days,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the key here as well: a copy.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write a root's private key to a file under a passphrase, then destroy the one that is here."""
    from directory.wiring.issuing import root_desk  # noqa: PLC0415 - for this command alone
    from directory.wiring.timekeeping import refuse_doubted_clock  # noqa: PLC0415 - likewise

    passphrase = _passphrase(passphrase_file, confirmed=True)
    if not keep:
        confirm("Destroy the root's key here, once it is in the file?", yes=yes)

    async def work() -> tuple[str, StoredCrl | None]:
        async with installation_with_issuers(config) as opened:
            if not keep:  # the root leaves a CRL behind
                await refuse_doubted_clock(opened)
            desk = root_desk(opened, operator())
            found = await desk.root(root)
            exported = await desk.export(found)
            _write_key_file(out, exported.ca, passphrase)
            crl = None if keep else await desk.leave(exported, timedelta(days=crl_days))
            return found.issuer_id, crl

    issuer_id, crl = run(work())
    lines = [f"The key of root {issuer_id} is in {out}, with its certificate."]
    if crl is not None:
        lines += [
            "It is not here any more. Take the file away, with a second copy in another place.",
            f"The root's CRL holds until {crl.record.next_update:%Y-%m-%d}: bring the next one before.",
        ]
    show(
        {
            "id": issuer_id,
            "key": str(out),
            "destroyed": not keep,
            "crl_until": crl.record.next_update.isoformat() if crl else None,
        },
        as_json=as_json,
        lines=lines,
    )


@app.command("sign-crl")
def sign_crl(
    *,
    key: KeyFile,
    request: Annotated[Path, typer.Option("--request", help="What ca crl request has written.")],
    out: Annotated[Path, typer.Option("--out", help="Where the CRL is written, DER.")],
    days: CrlDays = USUAL_CRL.days,
    passphrase_file: PassphraseFile = None,
    signature: Scheme = SignatureScheme.PKCS1,
    as_json: Json = False,
) -> None:
    """Sign a root's next CRL with its key file; needs neither database nor configuration."""
    wanted = read_crl_request(read_file("--request", request))
    ca = open_key_file(key, passphrase_file, signature)
    with progress.status("Signing …"):
        der = ca.sign_crl(wanted, SystemClock().now(), timedelta(days=days))
    write_out(out, der)
    crl = x509.load_der_x509_crl(der)
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    show(
        {"crl": str(out), "number": number, "entries": len(wanted.revoked)},
        as_json=as_json,
        lines=[
            f"CRL {number} of {crl.issuer.rfc4514_string()} lists {len(wanted.revoked)} certificates.",
            f"Bring {out} back, and publish it with pushpki ca crl import.",
        ],
    )


def sign_issuing(
    *,
    key: KeyFile,
    csr: Annotated[Path, typer.Option("--csr", help="The request of ca issuing csr.")],
    public_url: Annotated[
        str,
        typer.Option("--public-url", help="The service's [ca] public_url."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Where the certificate is written, PEM.")],
    permit: Annotated[
        list[str] | None,
        typer.Option(help="A domain it may certify addresses at; with a dot in front, below it. Repeat."),
    ] = None,
    passphrase_file: PassphraseFile = None,
    signature: Scheme = SignatureScheme.PKCS1,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Certify an issuing CA with a root's key file; needs neither database nor configuration."""
    content = read_file("--csr", csr)
    try:
        wanted = read_ca_request(content)
        publication = Publication(public_url)
    except KeyRefused as error:
        raise ConfigurationRefused(key="--csr", reason=f"{csr}: {error}") from error
    except ProfileRefused as error:
        raise ConfigurationRefused(key="--public-url", reason=f"{public_url!r} {error.reason}") from error
    confirm(f"Certify {wanted.name.distinguished_name.rfc4514_string()} as an issuing CA?", yes=yes)
    ca, now = open_key_file(key, passphrase_file, signature), SystemClock().now()
    with progress.status("Signing …"):
        algorithm = algorithm_of(wanted.public_key)
        profile = issuing_profile(algorithm, frozenset(permit or ()), ca.certificate.not_valid_after_utc, now)
        certificate = ca.certify(wanted, profile, publication, now)
    write_out(out, certificate.public_bytes(Encoding.PEM))
    show(
        {"certificate": str(out), "serial": f"{certificate.serial_number:x}"},
        as_json=as_json,
        lines=[
            f"Certified until {certificate.not_valid_after_utc:%Y-%m-%d}.",
            f"Bring {out} back, and take it in with pushpki ca issuing import.",
        ],
    )


def open_key_file(key: Path, passphrase_file: Path | None, scheme: SignatureScheme) -> OfflineCa:
    """Read the key file of a root.

    Raises:
        ConfigurationRefused: it, or the passphrase's, is not readable.
        KeyFileUnusable: it is none, or the passphrase is another one.
    """
    content = read_secret_file("--key", key)
    return read_key_file(content, _passphrase(passphrase_file, confirmed=False), scheme)


def _passphrase(file: Path | None, *, confirmed: bool) -> bytes:
    if file is not None:
        return read_secret_file("--passphrase-file", file)
    text: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirmed, err=True)
    return text.encode()


def _write_key_file(out: Path, ca: OfflineCa, passphrase: bytes) -> None:
    """Write the key file, and look whether it can be read again; only then may the key be destroyed.

    Raises:
        ConfigurationRefused: it cannot be written.
        KeyFileUnusable: the passphrase is too short, or what was written is not what is read.
    """
    content = ca.write(passphrase)
    try:
        write_private(out, content)
        written = out.read_bytes()
    except OSError as error:
        raise ConfigurationRefused(
            key="--out", reason=f"{out} cannot be written: {error.strerror}"
        ) from error
    if read_key_file(written, passphrase).certificate != ca.certificate:
        raise KeyFileUnusable("is not what was written to it")


def write_out(out: Path, content: bytes) -> None:
    """Write what was signed.

    Raises:
        ConfigurationRefused: it cannot be written.
    """
    try:
        out.write_bytes(content)
    except OSError as error:
        raise ConfigurationRefused(
            key="--out", reason=f"{out} cannot be written: {error.strerror}"
        ) from error


def _not_written(out: Path, error: OSError) -> ConfigurationRefused:
    return ConfigurationRefused(key="--out", reason=f"{out} cannot be written: {error.strerror}")
