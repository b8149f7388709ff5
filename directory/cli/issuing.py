"""`pushpki ca issuing`: CAs that certify recipients, made here or certified elsewhere."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.keys import KeyAlgorithm
from ca.revocation import RevocationReason
from directory.cli.chains import Chain, Trust, read_chain, read_trust
from directory.cli.issuers import IssuerId, moment_of
from directory.cli.keyfiles import read_file
from directory.cli.opening import Config, confirm, installation_with_issuers, operator, run
from directory.cli.output import Json, progress, show
from directory.errors import ConfigurationRefused
from directory.hierarchy import StoredIssuer
from directory.issuer_revocation import RevokedIssuer
from directory.issuing_ports import PendingIssuer, Wish
from directory.wiring.installation import Installation
from directory.withdrawal import Withdrawn

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str | None, typer.Option("--name", help="Its common name; else one that says what it is.")]
Org = Annotated[str | None, typer.Option("--org", help="Only for this organization, which is isolated.")]
Key = Annotated[KeyAlgorithm, typer.Option("--key", help="What key it gets.")]
Token = Annotated[
    bool, typer.Option("--token", help="Make its key in the token of [pkcs11]; else it is sealed.")
]
At = Annotated[str | None, typer.Option("--at", help="From when on, ISO 8601, UTC unless it says; else now.")]


@app.command("create")
def create(
    *,
    name: Name = None,
    org: Org = None,
    root: Annotated[str | None, typer.Option("--root", help="Under which root; else the newest.")] = None,
    key: Key = KeyAlgorithm.RSA_3072,
    permit: Annotated[
        list[str] | None,
        typer.Option(help="A domain it may certify addresses at; with a dot in front, below it. Repeat."),
    ] = None,
    token: Token = False,
    activate: Annotated[bool, typer.Option("--activate", help="Let it certify at once.")] = False,
    at: At = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make an issuing CA under a root whose key is here. It waits until it is made active."""
    moment = moment_of(at)

    async def work() -> StoredIssuer:
        from directory.wiring.issuing import issuing_desk  # noqa: PLC0415 - for this command alone
        from directory.wiring.timekeeping import refuse_doubted_clock  # noqa: PLC0415 - likewise

        async with installation_with_issuers(config) as opened:
            await refuse_doubted_clock(opened)
            wish = await _wish(opened, name, org, key, root=root, permit=permit or ())
            wish = replace(wish, in_token=token)
            made = await issuing_desk(opened, operator()).create(wish)
            if activate or moment is not None:
                await _activate(opened, made.issuer_id, moment)
            return made

    with progress.status("Making the issuing CA …"):
        made = run(work())
    show(
        {"id": made.issuer_id, "subject": made.subject, "not_after": made.not_after.isoformat()},
        as_json=as_json,
        lines=[f"Issuing CA {made.issuer_id} made: {made.subject}, until {made.not_after:%Y-%m-%d}."],
    )


@app.command("csr")
def request(
    *,
    out: Annotated[Path, typer.Option("--out", help="Where the request is written, PEM.")],
    name: Name = None,
    org: Org = None,
    key: Key = KeyAlgorithm.RSA_3072,
    token: Token = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make a key and a certificate request (PKCS#10), for a root that is elsewhere."""

    async def work() -> PendingIssuer:
        from directory.wiring.issuing import issuing_desk  # noqa: PLC0415 - for this command alone

        async with installation_with_issuers(config) as opened:
            wish = replace(await _wish(opened, name, org, key), in_token=token)
            return await issuing_desk(opened, operator()).request(wish)

    pending = run(work())
    write_request(out, pending)
    show(
        {"id": pending.issuer_id, "subject": pending.subject, "request": str(out)},
        as_json=as_json,
        lines=[f"Have {out} signed, and bring the certificate back with pushpki ca issuing import."],
    )


@app.command("import")
def complete(
    certificate: Annotated[Path, typer.Argument(help="The certificate that was signed, PEM or DER.")],
    *,
    chain: Chain = None,
    trust: Trust = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take in the certificate that a request was answered with. Its CA waits until it is made active."""
    file = read_file("CERTIFICATE", certificate)
    above, trusted = read_chain(chain), read_trust(trust)

    async def work() -> StoredIssuer:
        from directory.wiring.issuing import issuing_desk  # noqa: PLC0415 - for this command alone

        async with installation_with_issuers(config) as opened:
            return await issuing_desk(opened, operator()).complete(file, above, trusted)

    imported = run(work())
    show(
        {"id": imported.issuer_id, "subject": imported.subject, "parent": imported.parent_id},
        as_json=as_json,
        lines=[
            f"Issuing CA {imported.issuer_id} is here: {imported.subject}.",
            f"It certifies after pushpki ca issuing activate {imported.issuer_id[:8]}.",
        ],
    )


@app.command("withdraw")
def withdraw(
    issuer_id: IssuerId,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Destroy the key of a request that no certificate will come for; one in a token that is away, later."""
    confirm(f"Destroy the key of request {issuer_id}?", yes=yes)

    async def work() -> Withdrawn:
        from directory.wiring.issuing import withdrawal_desk  # noqa: PLC0415 - for this command alone

        async with installation_with_issuers(config) as opened:
            withdrawn = await withdrawal_desk(opened, operator()).withdraw(issuer_id)
            await opened.database.erase_traces()
            return withdrawn

    withdrawn = run(work())
    show(
        {
            "withdrawn": withdrawn.request.issuer_id,
            "key": "destroyed" if withdrawn.put_off is None else "to be destroyed",
        },
        as_json=as_json,
        lines=_what_became_of_the_key(withdrawn),
    )


@app.command("activate")
def activate(issuer_id: IssuerId, *, at: At = None, config: Config = None, as_json: Json = False) -> None:
    """Let an issuing CA certify recipients; whoever did before goes on with CRLs and OCSP."""
    moment = moment_of(at)

    async def work() -> StoredIssuer:
        async with installation_with_issuers(config) as opened:
            return await _activate(opened, issuer_id, moment)

    activated = run(work())
    when = "now" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    show(
        {"id": activated.issuer_id, "active_from": moment.isoformat() if moment else None},
        as_json=as_json,
        lines=[f"Issuer {activated.issuer_id} certifies from {when} on."],
    )


@app.command("revoke")
def revoke(
    issuer_id: IssuerId,
    *,
    reason: Annotated[
        RevocationReason, typer.Option(help="Why, as the CRL of the root will say.")
    ] = RevocationReason.CA_COMPROMISE,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Revoke an issuing CA with all that it issued; whoever asks next is minted a new certificate.

    Make another one active before. If it is interrupted, a running service goes on with it; or run it again.
    """
    confirm(f"Revoke issuing CA {issuer_id} and every certificate that it issued ({reason})?", yes=yes)

    async def work() -> RevokedIssuer:
        from directory.wiring.issuing import issuer_revocation  # noqa: PLC0415 - for this command alone

        async with installation_with_issuers(config) as opened:
            with progress.status("Revoking …") as status:
                return await issuer_revocation(opened, operator()).revoke(
                    issuer_id,
                    reason,
                    progress=lambda count: status.update(f"Revoking … {count} certificates"),
                )

    revoked = run(work())
    show(
        {"id": revoked.issuer.issuer_id, "certificates": revoked.certificates, "reason": reason.value},
        as_json=as_json,
        lines=[
            f"Issuing CA {revoked.issuer.issuer_id} is revoked, with {revoked.certificates} certificates.",
            *_where_the_crl_is_made(revoked.issuer),
        ],
    )


def _where_the_crl_is_made(issuer: StoredIssuer) -> Sequence[str]:
    return () if issuer.parent_id is None else (f"It is due on the CRL of {issuer.parent_id}; see ca list.",)


def _what_became_of_the_key(withdrawn: Withdrawn) -> Sequence[str]:
    issuer_id = withdrawn.request.issuer_id
    if withdrawn.put_off is None:
        return (f"The key of request {issuer_id} is destroyed.",)
    return (
        f"Request {issuer_id} is withdrawn. Its key is not destroyed yet: {withdrawn.put_off}.",
        "A service destroys it when the token is there.",
    )


def write_request(out: Path, pending: PendingIssuer) -> None:
    """Write a request as PEM.

    Raises:
        ConfigurationRefused: it cannot be written.
    """
    try:
        out.write_bytes(x509.load_der_x509_csr(pending.request).public_bytes(Encoding.PEM))
    except OSError as error:
        raise ConfigurationRefused(
            key="--out",
            reason=f"{out} cannot be written: {error.strerror}",
            remedy=f"the request is kept: pushpki ca show {pending.issuer_id[:8]}",
        ) from error


async def _wish(
    opened: Installation,
    name: str | None,
    org: str | None,
    key: KeyAlgorithm,
    *,
    root: str | None = None,
    permit: Sequence[str] = (),
) -> Wish:
    organization = None if org is None else await opened.organizations.by_slug(org)
    if organization is not None and not organization.isolated:
        raise ConfigurationRefused(
            key="--org",
            reason=f"{org} shares what is minted with others",
            remedy="only an isolated organization has issuing CAs of its own",
        )
    return Wish(
        common_name=name,
        organization=organization,
        key_algorithm=key,
        permitted_domains=frozenset(permit),
        root_id=root,
    )


async def _activate(opened: Installation, issuer_id: str, moment: datetime | None) -> StoredIssuer:
    validity = timedelta(days=opened.settings.ca.validity_days)
    return await opened.issuer_desk(operator()).activate(issuer_id, moment, validity=validity)
