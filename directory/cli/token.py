"""`pushpki ca token`: the token that holds keys of CAs, and perhaps of their OCSP responders."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from ca.keys import algorithm_of
from ca.pkcs11 import TokenThread
from ca.signing import require_trial
from directory.cli.opening import Config, installation, run
from directory.cli.output import Json, show
from directory.errors import ConfigurationRefused
from directory.wiring.installation import Installation
from directory.wiring.tokenkeys import Keyholder, keyholders, spare_keys_in

app = typer.Typer(no_args_is_help=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    key_id: str
    algorithm: str
    issuer: str | None
    """The name of whose key it is; None if it is nobody's here."""
    spare: bool
    """Whether it is destroyed soon, since nobody signs with it any more."""

    @property
    def whose(self) -> str:
        return "of nobody any more, to be destroyed" if self.spare else self.issuer or "of no issuer here"


@app.command("list")
def list_keys(*, config: Config = None, as_json: Json = False) -> None:
    """List the keys in the token, and whose they are."""

    async def work() -> tuple[str, Sequence[_Listed]]:
        async with installation(config) as opened:
            token = _token(opened)
            found = await asyncio.to_thread(token.public_keys)
            owners = {one.key.key_id: one.name for one in await keyholders(opened, token)}
            spare = await spare_keys_in(opened, token)
            return token.label, [
                _Listed(
                    key_id=key_id.hex(),
                    algorithm=algorithm_of(key).value,
                    issuer=owners.get(key_id.hex()),
                    spare=key_id.hex() in spare,
                )
                for key_id, key in sorted(found.items())
            ]

    label, keys = run(work())
    documents = [
        {"key_id": one.key_id, "algorithm": one.algorithm, "issuer": one.issuer, "spare": one.spare}
        for one in keys
    ]
    lines = [f"{one.key_id}  {one.algorithm}  {one.whose}" for one in keys]
    show({"token": label, "keys": documents}, as_json=as_json, lines=lines or [f"Token {label} has no keys."])


@app.command("test")
def try_keys(*, config: Config = None, as_json: Json = False) -> None:
    """Log in, let every key of ours that is in the token sign, and check the signatures."""

    async def work() -> tuple[str, Sequence[Keyholder]]:
        async with installation(config) as opened:
            token = _token(opened)
            holders = await keyholders(opened, token)
            if not holders:
                await asyncio.to_thread(token.public_keys)  # at least it is there, and takes the PIN
            for holder in holders:
                await asyncio.to_thread(require_trial, holder.signer, holder.signer.public_key, holder.name)
            return token.label, holders

    label, holders = run(work())
    lines = [f"{one.name}: signs." for one in holders] or [f"Token {label} is there, and takes the PIN."]
    issuers = [one.issuer_id for one in holders if one.is_issuer]
    show({"token": label, "issuers": issuers}, as_json=as_json, lines=lines)


def _token(opened: Installation) -> TokenThread:
    if opened.token is None:
        raise ConfigurationRefused(
            key="pkcs11", reason="no token is configured", remedy="set module, label and pin_file"
        )
    return opened.token
