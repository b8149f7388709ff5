"""`pushpki ca token`: the token that holds keys of CAs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from ca.keys import algorithm_of
from ca.pkcs11 import TokenThread
from ca.signing import require_signature, signature_over
from directory.cli.opening import Config, installation, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused
from directory.hierarchy import StoredIssuer
from directory.wiring.installation import Installation

app = typer.Typer(no_args_is_help=True)

_TRIAL = b"pushpki ca token test"
"""What is signed to see whether a key signs: the beginning of no certificate, CRL or response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    key_id: str
    algorithm: str
    issuer: str | None
    """The name of the issuer whose key it is; None if it is nobody's here."""


@app.command("list")
def list_keys(*, config: Config = None, as_json: Json = False) -> None:
    """List the keys in the token, and whose they are."""

    async def work() -> tuple[str, Sequence[_Listed]]:
        async with installation(config) as opened:
            token = _token(opened)
            found = await asyncio.to_thread(token.public_keys)
            owners = {
                one.token_key.key_id: one.subject for one in await _issuers_in(opened, token) if one.token_key
            }
            return token.label, [
                _Listed(
                    key_id=key_id.hex(), algorithm=algorithm_of(key).value, issuer=owners.get(key_id.hex())
                )
                for key_id, key in sorted(found.items())
            ]

    label, keys = run(work())
    documents = [{"key_id": one.key_id, "algorithm": one.algorithm, "issuer": one.issuer} for one in keys]
    lines = [f"{one.key_id}  {one.algorithm}  {one.issuer or 'of no issuer here'}" for one in keys]
    show({"token": label, "keys": documents}, as_json=as_json, lines=lines or [f"Token {label} has no keys."])


@app.command("test")
def try_keys(*, config: Config = None, as_json: Json = False) -> None:
    """Log in, let every issuer's key that is in the token sign, and check the signatures."""

    async def work() -> tuple[str, Sequence[StoredIssuer]]:
        async with installation(config) as opened:
            token = _token(opened)
            issuers = await _issuers_in(opened, token)
            if not issuers:
                await asyncio.to_thread(token.public_keys)  # at least it is there, and takes the PIN
            for issuer in issuers:
                await asyncio.to_thread(_try, opened, issuer)
            return token.label, issuers

    label, issuers = run(work())
    lines = [f"{one.subject}: signs." for one in issuers] or [f"Token {label} is there, and takes the PIN."]
    show({"token": label, "issuers": [one.issuer_id for one in issuers]}, as_json=as_json, lines=lines)


def _token(opened: Installation) -> TokenThread:
    if opened.token is None:
        raise ConfigurationRefused(
            key="pkcs11", reason="no token is configured", remedy="set module, label and pin_file"
        )
    return opened.token


async def _issuers_in(opened: Installation, token: TokenThread) -> list[StoredIssuer]:
    return [
        one
        for one in (await opened.issuers.hierarchy()).issuers
        if one.token_key is not None and one.token_key.token == token.label
    ]


def _try(opened: Installation, issuer: StoredIssuer) -> None:
    signer = opened.signers.of_issuer(issuer)
    require_signature(signer.public_key, signature_over(_TRIAL, signer), _TRIAL, f"trial of {issuer.subject}")
