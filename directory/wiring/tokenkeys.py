"""Whose are the keys in the token?"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ca.carequests import read_ca_request
from ca.pkcs11 import TokenKey, TokenSigner, TokenThread
from ca.signers import Signer
from directory.store.issuing import SqlIssuing
from directory.store.ocsp import SqlResponders
from directory.store.spare_keys import SqlSpareKeys
from directory.wiring.installation import Installation


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyholder:
    """Somebody whose key is in the token."""

    name: str
    issuer_id: str
    """The issuer that it is, will be, or signs OCSP responses for."""
    is_issuer: bool
    key: TokenKey
    signer: Signer


async def keyholders(opened: Installation, token: TokenThread) -> Sequence[Keyholder]:
    """Return whose keys are in the token: issuers, those that wait for a certificate, OCSP responders."""
    store = SqlIssuing(opened.database, node=opened.node)
    issuers = (await store.hierarchy()).issuers
    holders = [
        Keyholder(
            name=one.subject,
            issuer_id=one.issuer_id,
            is_issuer=True,
            key=one.token_key,
            signer=opened.signers.of_issuer(one),
        )
        for one in issuers
        if one.token_key is not None and one.token_key.token == token.label
    ]
    holders += [
        Keyholder(
            name=f"{one.subject}, which waits for its certificate",
            issuer_id=one.issuer_id,
            is_issuer=False,
            key=one.token_key,
            signer=TokenSigner(token, one.token_key, read_ca_request(one.request).public_key),
        )
        for one in await store.pending()
        if one.token_key is not None and one.token_key.token == token.label and one.readable() is not None
    ]
    names = {one.issuer_id: one.subject for one in issuers}
    for standing in await SqlResponders(opened.database, node=opened.node).standings():
        latest = standing.latest
        if latest is not None and latest.token_key is not None and latest.token_key.token == token.label:
            holders.append(
                Keyholder(
                    name=f"OCSP responder {latest.number} of {names[standing.issuer_id]}",
                    issuer_id=standing.issuer_id,
                    is_issuer=False,
                    key=latest.token_key,
                    signer=opened.signers.of_responder(latest),
                )
            )
    return holders


async def spare_keys_in(opened: Installation, token: TokenThread) -> Collection[str]:
    """Return the CKA_IDs of keys that are destroyed soon, in hex."""
    spare = await SqlSpareKeys(opened.database, node=opened.node).spare(token.label)
    return {one.place.key_id for one in spare}
