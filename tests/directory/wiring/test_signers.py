from dataclasses import dataclass

import pytest

from ca.errors import KeyRefused, SealBroken
from ca.keys import PrivateKey, same_key, to_pkcs8
from ca.pkcs11 import TokenKey
from ca.sealing import SealedSecret
from directory.ocsp_responders import StoredResponder, ocsp_key_identity
from directory.wiring.signers import Signers, ca_key_identity
from tests.builders import NOW
from tests.contracts.world import SEALER


@dataclass(frozen=True)
class Record:
    issuer_id: str
    sealed_key: SealedSecret | None
    token_key: TokenKey | None = None
    certificate: bytes = b""


def a_responder(sealed_key: SealedSecret | None) -> StoredResponder:
    return StoredResponder(
        responder_id="responder-1",
        issuer_id="issuer-1",
        number=1,
        certificate=b"",
        serial_number=1,
        not_after=NOW,
        sealed_key=sealed_key,
    )


def test_a_sealed_key_signs_as_its_issuer(recipient_key: PrivateKey) -> None:
    sealed = SEALER.seal(to_pkcs8(recipient_key), ca_key_identity("issuer-1"))

    signer = Signers(SEALER).of_issuer(Record("issuer-1", sealed))

    assert same_key(signer.public_key, recipient_key.public_key())


def test_a_key_sealed_for_one_issuer_opens_for_no_other(recipient_key: PrivateKey) -> None:
    sealed = SEALER.seal(to_pkcs8(recipient_key), ca_key_identity("issuer-1"))

    with pytest.raises(SealBroken):
        Signers(SEALER).of_issuer(Record("issuer-2", sealed))


def test_an_issuer_whose_key_is_elsewhere_does_not_sign() -> None:
    with pytest.raises(KeyRefused, match="the key of issuer issuer-1 is not here"):
        Signers(SEALER).of_issuer(Record("issuer-1", None))


def test_a_sealed_key_signs_as_its_responder(recipient_key: PrivateKey) -> None:
    sealed = SEALER.seal(to_pkcs8(recipient_key), ocsp_key_identity("responder-1"))

    signer = Signers(SEALER).of_responder(a_responder(sealed))

    assert same_key(signer.public_key, recipient_key.public_key())


def test_an_issuers_key_does_not_open_as_a_responders(recipient_key: PrivateKey) -> None:
    sealed = SEALER.seal(to_pkcs8(recipient_key), ca_key_identity("responder-1"))

    with pytest.raises(SealBroken):
        Signers(SEALER).of_responder(a_responder(sealed))


def test_a_responder_whose_key_was_erased_does_not_sign() -> None:
    with pytest.raises(KeyRefused, match="has been erased"):
        Signers(SEALER).of_responder(a_responder(None))
