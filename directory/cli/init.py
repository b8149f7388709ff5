"""`pushpki init`: bring an installation into being: master key, database, root and issuing CA, TLS."""

from pathlib import Path
from typing import Annotated

import typer

from ca.signing import SignatureScheme
from directory.cli.opening import operator, run
from directory.cli.output import Json, progress, show
from directory.errors import ConfigurationRefused
from directory.initialization import Blueprint, TokenKeys, TokenPlan, initialize
from directory.settings import CaSettings, read_secret_file

_DEFAULT_PUBLIC_URL = CaSettings.model_fields["public_url"].default


def init(
    *,
    folder: Annotated[Path, typer.Option("--dir", help="The folder to create; it must not exist yet.")],
    suffix: Annotated[str, typer.Option(help="The LDAP suffix, such as o=directory.")] = "o=directory",
    name: Annotated[str, typer.Option(help="The organization in the names of the CAs.")] = "pushpki",
    public_url: Annotated[
        str, typer.Option(help="http URL under which the world reaches this service for CRLs.")
    ] = _DEFAULT_PUBLIC_URL,
    database: Annotated[
        str, typer.Option(help="Database URL: sqlite:///PATH or postgresql://USER@HOST/NAME.")
    ] = "sqlite:///pushpki.sqlite3",
    database_password_file: Annotated[Path | None, typer.Option(help="File with its password.")] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="File with a passphrase to protect the master key with.")
    ] = None,
    pkcs11_module: Annotated[
        Path | None, typer.Option(help="PKCS#11 library of a token that is to hold the keys of the CAs.")
    ] = None,
    token: Annotated[str | None, typer.Option(help="Label of that token; it is initialized already.")] = None,
    pin_file: Annotated[Path | None, typer.Option(help="File with its user PIN; its place is kept.")] = None,
    token_keys: Annotated[
        TokenKeys, typer.Option(help="Which keys are made in the token; the others are sealed.")
    ] = TokenKeys.ALL,
    signature: Annotated[
        SignatureScheme | None,
        typer.Option(
            help="How RSA keys of CAs sign, from the root's own certificate on; kept as [ca] signature."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Create an installation in a new folder; never touches an existing one."""
    blueprint = Blueprint(
        folder=folder.absolute(),
        suffix=suffix,
        authority=name,
        public_url=public_url,
        database_url=database,
        database_password_file=database_password_file.absolute() if database_password_file else None,
        passphrase_file=passphrase_file.absolute() if passphrase_file else None,
        passphrase=read_secret_file("--passphrase-file", passphrase_file) if passphrase_file else None,
        token=_token_plan(pkcs11_module, token, pin_file, token_keys),
        signature=signature,
    )
    with progress.status("Making master key, root and issuing CA …") as status:
        created = run(initialize(blueprint, actor=operator(), tell=status.update))
    lines = [
        f"Created {created.configuration}: configuration, master key, database, root, issuing CA, TLS.",
        f"Root {created.root_fingerprint} (SHA-256)",
        "Back the master key up now, apart from the database: without it every sealed key is lost.",
    ]
    if public_url == _DEFAULT_PUBLIC_URL:
        lines.append(
            f"Certificates will point to {public_url}, a placeholder; set [ca] public_url before real mail."
        )
    lines.append(
        f"Next: pushpki org add … --config {created.configuration}; then gateway add, agent add, serve."
    )
    document = {
        "configuration": str(created.configuration),
        "root_fingerprint": created.root_fingerprint,
        "issuer_id": created.issuer_id,
        "suffix": suffix,
    }
    show(document, as_json=as_json, lines=lines)


def _token_plan(
    module: Path | None, label: str | None, pin_file: Path | None, keys: TokenKeys
) -> TokenPlan | None:
    if module is None and label is None and pin_file is None:
        return None
    if module is None or label is None or pin_file is None:
        raise ConfigurationRefused(
            key="--token", reason="a part is missing", remedy="give --pkcs11-module, --token and --pin-file"
        )
    return TokenPlan(module=module.absolute(), label=label, pin_file=pin_file.absolute(), keys=keys)
