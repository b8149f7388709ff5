"""Who takes a node over that has run, database and files, opens not one escrowed key.

Everything on the node is tried that could be a key: what the master key opens, and every file.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from ca.errors import EscrowRefused
from ca.escrow import open_escrow
from ca.masterkey import load_master_keyring
from ca.sealing import SealedSecret, Sealer, SecretIdentity, SecretKind
from tests.journeys.test_recovery import Place, escrowed, place

__all__ = ["escrowed", "place"]  # fixtures of the journey: a service that has escrowed a key
_SEALED = {
    "issuers": SecretKind.CA_KEY,
    "ocsp_responders": SecretKind.OCSP_KEY,
}


@pytest.fixture(scope="module")
def taken(place: Place, escrowed: dict[str, object]) -> Iterator[sqlite3.Connection]:
    """The database as whoever takes the node over finds it."""
    assert escrowed["key"] == "escrowed"
    with closing(sqlite3.connect(place.installed.folder / "pushpki.sqlite3")) as database:
        yield database


def envelopes(database: sqlite3.Connection) -> list[bytes]:
    return [envelope for (envelope,) in database.execute("SELECT envelope FROM escrowed_keys")]


def recovery_certificate(database: sqlite3.Connection) -> x509.Certificate:
    ((der,),) = database.execute("SELECT der FROM recovery_certificates").fetchall()
    return x509.load_der_x509_certificate(der)


def keys_in_files(folder: Path) -> list[RSAPrivateKey]:
    found = []
    for file in folder.rglob("*"):
        if file.is_file() and b"PRIVATE KEY-----" in (content := file.read_bytes()):
            key = load_pem_private_key(content, None)
            found += [key] if isinstance(key, RSAPrivateKey) else []
    return found


def keys_under_the_master_key(database: sqlite3.Connection, folder: Path) -> list[RSAPrivateKey]:
    sealer = Sealer(load_master_keyring(folder / "master.key", None))
    found = []
    for table, kind in _SEALED.items():
        for record_id, key_id, wrapped, ciphertext in database.execute(
            f"SELECT id, key_master_key_id, key_wrapped_key, key_ciphertext FROM {table}"  # noqa: S608 - our own names
            " WHERE key_ciphertext IS NOT NULL"
        ):
            sealed = SealedSecret(master_key_id=key_id, wrapped_key=wrapped, ciphertext=ciphertext)
            identity = SecretIdentity(kind=kind, record_id=record_id, organization_id=None)
            key = load_der_private_key(sealer.unseal(sealed, identity), None)
            found += [key] if isinstance(key, RSAPrivateKey) else []
    return found


def test_with_everything_on_the_node_no_escrowed_key_opens(place: Place, taken: sqlite3.Connection) -> None:
    folder = place.installed.folder
    keys = [*keys_in_files(folder), *keys_under_the_master_key(taken, folder)]
    assert len(keys) >= 2  # root and issuing CA at least: there was something to try
    stored = envelopes(taken)
    assert stored

    for envelope in stored:
        for key in keys:
            with pytest.raises(EscrowRefused):
                open_escrow(envelope, key, recovery_certificate(taken))


def test_the_held_copy_is_gone_from_the_database(taken: sqlite3.Connection) -> None:
    held = taken.execute(
        "SELECT count(*) FROM held_keys WHERE key_ciphertext IS NOT NULL OR key_wrapped_key IS NOT NULL"
    )
    assert held.fetchone() == (0,)


def test_neither_the_recovery_key_nor_a_share_is_anywhere_on_the_node(place: Place) -> None:
    safe = Path(place.ceremony.key)
    locked = b"".join(safe.read_bytes().split(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")[1].split(b"\n")[:3])
    shares = [Path(share).read_bytes().splitlines()[-1] for share in place.ceremony.shares.values()]
    for file in place.installed.folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert locked not in content.replace(b"\n", b"")
            assert not any(share in content for share in shares)


def test_tokens_of_recovery_agents_are_not_at_rest_in_clear(place: Place) -> None:
    for file in place.installed.folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(token.split("_")[2].encode() in content for token in place.tokens.values())
