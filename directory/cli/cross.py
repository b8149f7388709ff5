"""`pushpki ca cross`: what other CAs certify of ours, and our root of theirs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.crosscertification import read_other_ca
from ca.errors import KeyRefused, ProfileRefused
from ca.keys import algorithm_of
from ca.publication import Publication
from ca.signing import SignatureScheme
from directory.cli.chains import Chain, Trust, read_chain, read_trust
from directory.cli.keyfiles import read_file
from directory.cli.opening import Config, confirm, installation, operator, run
from directory.cli.output import Json, progress, show
from directory.cli.roots import PassphraseFile, Scheme, open_key_file, write_out
from directory.clock import SystemClock
from directory.crosscertificates import CrossCertificate, SignedForOthers
from directory.errors import ConfigurationRefused
from directory.hierarchy import issuer_id_of
from directory.issuing import issuing_profile

app = typer.Typer(no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("import")
def take_in(
    certificate: Annotated[Path, typer.Argument(help="What another CA has certified, PEM or DER.")],
    *,
    chain: Chain = None,
    trust: Trust = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Publish a further certificate of one of our CAs beside its own; running services show it in seconds."""
    from directory.wiring.issuing import cross_desk  # noqa: PLC0415 - for this command alone

    file = read_file("CERTIFICATE", certificate)
    above, trusted = read_chain(chain), read_trust(trust)

    async def work() -> CrossCertificate:
        async with installation(config) as opened:
            return await cross_desk(opened, operator()).take_in(file, above, trusted)

    taken = run(work())
    show(
        _of_ours(taken),
        as_json=as_json,
        lines=[
            f"Cross-certificate {taken.cross_id} is published until {taken.not_after:%Y-%m-%d}.",
            f"It leads to issuer {taken.issuer_id}.",
        ],
    )


@app.command("list")
def list_all(*, config: Config = None, as_json: Json = False) -> None:
    """List what others have certified of our CAs, and our roots of others'."""
    from directory.wiring.issuing import cross_desk  # noqa: PLC0415 - for this command alone

    async def work() -> tuple[Sequence[CrossCertificate], Sequence[SignedForOthers]]:
        async with installation(config) as opened:
            return await cross_desk(opened, operator()).every()

    by_others, by_ours = run(work())
    of_ours, of_others = [_of_ours(one) for one in by_others], [_of_others(one) for one in by_ours]
    lines = [
        f"{one['id']}\tof {one['issuer']}\tuntil {one['not_after']}\tby {one['certified_by']}"
        for one in of_ours
    ] + [
        f"{one['serial']}\tby {one['issuer']}\tuntil {one['not_after']}"
        f"\t{'revoked' if one['revoked_at'] else 'valid'}\tof {one['subject']}"
        for one in of_others
    ]
    show({"cross_certificates": of_ours, "signed": of_others}, as_json=as_json, lines=lines)


@app.command("remove")
def remove(
    cross_id: Annotated[
        str, typer.Argument(metavar="ID", help="Its SHA-256 in hex, or how that begins; see ca cross list.")
    ],
    *,
    yes: Yes = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Publish what another CA has certified no longer, such as when it has revoked that."""
    from directory.wiring.issuing import cross_desk  # noqa: PLC0415 - for this command alone

    confirm(f"Remove cross-certificate {cross_id}?", yes=yes)

    async def work() -> CrossCertificate:
        async with installation(config) as opened:
            return await cross_desk(opened, operator()).remove(cross_id)

    removed = run(work())
    lines = [f"Cross-certificate {removed.cross_id} is removed."]
    show({"removed": removed.cross_id}, as_json=as_json, lines=lines)


@app.command("sign")
def sign(
    file: Annotated[Path, typer.Argument(help="The other CA's certificate or its request, PEM or DER.")],
    *,
    permit: Annotated[
        list[str],
        typer.Option(help="A domain it may certify addresses at; with a dot in front, below it. Repeat."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Where the certificate is written, PEM.")],
    root: Annotated[str | None, typer.Option("--root", help="By which root; else by the newest.")] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Sign with this key file instead, off line; see ca root export."),
    ] = None,
    public_url: Annotated[
        str | None, typer.Option("--public-url", help="With --key: the service's [ca] public_url.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    signature: Scheme = SignatureScheme.PKCS1,
    yes: Yes = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Certify somebody else's CA, which has none below it, for addresses at some domains.

    With --key neither database nor configuration is needed; bring it back with ca cross record. A --root
    beside it has to be the one whose key that is.
    """
    content, permitted = read_file("FILE", file), frozenset(permit)
    try:
        other = read_other_ca(content, SystemClock().now())
    except KeyRefused as error:
        raise ConfigurationRefused(key="FILE", reason=f"{file}: {error}") from error
    confirm(
        f"Certify {other.name.rfc4514_string()} for addresses at {', '.join(sorted(permitted))}?", yes=yes
    )
    if key is None:
        certificate = _signed_here(content, permitted, root, config)
    else:
        ca, now = open_key_file(key, passphrase_file, signature), SystemClock().now()
        _require_root(ca.certificate, root)
        algorithm, ends = algorithm_of(other.public_key), ca.certificate.not_valid_after_utc
        with progress.status("Signing …"):
            profile = issuing_profile(algorithm, permitted, ends, now)
            certificate = ca.cross_certify(other, profile, _publication(public_url), now)
    write_out(out, certificate.public_bytes(Encoding.PEM))
    lines = [f"{out} holds until {certificate.not_valid_after_utc:%Y-%m-%d}: hand it to the other CA."]
    if key is not None:
        lines.append("Put it on record with pushpki ca cross record: what is not can never be revoked.")
    show({"certificate": str(out), "serial": f"{certificate.serial_number:x}"}, as_json=as_json, lines=lines)


@app.command("record")
def record(
    certificate: Annotated[Path, typer.Argument(help="What ca cross sign --key has written.")],
    *,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Put on record what our root has certified off line, so that it can be revoked."""
    from directory.wiring.issuing import cross_desk  # noqa: PLC0415 - for this command alone

    file = read_file("CERTIFICATE", certificate)

    async def work() -> SignedForOthers:
        async with installation(config) as opened:
            return await cross_desk(opened, operator()).record(file)

    recorded = run(work())
    show(
        _of_others(recorded),
        as_json=as_json,
        lines=[f"Cross-certificate {recorded.serial:x} by root {recorded.issuer_id} is on record."],
    )


def _signed_here(
    content: bytes, permitted: frozenset[str], root: str | None, config: Path | None
) -> x509.Certificate:
    from directory.wiring.issuing import cross_desk  # noqa: PLC0415 - for this command alone
    from directory.wiring.timekeeping import refuse_doubted_clock  # noqa: PLC0415 - likewise

    async def work() -> SignedForOthers:
        async with installation(config) as opened:
            await refuse_doubted_clock(opened)
            return await cross_desk(opened, operator()).sign(content, permitted, root)

    with progress.status("Signing …"):
        return x509.load_der_x509_certificate(run(work()).certificate)


def _require_root(certificate: x509.Certificate, root: str | None) -> None:
    """Return if the key file is that of the root that was named, or none was.

    Raises:
        ConfigurationRefused: it is another root's.
    """
    root_id = issuer_id_of(certificate)
    if root is not None and not root_id.startswith(root.lower()):
        raise ConfigurationRefused(
            key="--root",
            reason=f"the key file is that of root {root_id}",
            remedy="leave --root out, or bring the key file of that root",
        )


def _publication(public_url: str | None) -> Publication:
    try:
        return Publication(public_url or "")
    except ProfileRefused as error:
        raise ConfigurationRefused(key="--public-url", reason=f"{public_url!r} {error.reason}") from error


def _of_ours(cross: CrossCertificate) -> dict[str, str]:
    certificate = x509.load_der_x509_certificate(cross.certificate)
    return {
        "id": cross.cross_id,
        "issuer": cross.issuer_id,
        "certified_by": certificate.issuer.rfc4514_string(),
        "not_after": cross.not_after.isoformat(),
    }


def _of_others(signed: SignedForOthers) -> dict[str, str | None]:
    certificate = x509.load_der_x509_certificate(signed.certificate)
    return {
        "serial": f"{signed.serial:x}",
        "issuer": signed.issuer_id,
        "subject": certificate.subject.rfc4514_string(),
        "not_after": signed.not_after.isoformat(),
        "revoked_at": signed.revoked_at.isoformat() if signed.revoked_at else None,
    }
