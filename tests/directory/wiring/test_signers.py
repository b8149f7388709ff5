from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ca.errors import KeyRefused, SealBroken, SignerUnavailable, SigningRefused, TokenKeyMissing
from ca.keys import PrivateKey, same_key, to_pkcs8
from ca.pkcs11 import TokenKey, TokenLimits, TokenThread
from ca.sealing import SealedSecret
from directory.ocsp_responders import StoredResponder, ocsp_key_identity
from directory.wiring.signers import Signers, ca_key_identity
from tests.builders import NOW, Authority
from tests.contracts.world import SEALER
from tests.faketoken import FakeToken


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


def in_a_token(authority: Authority, *, called: str = "token-1") -> Record:
    certificate = authority.issuer.certificate.public_bytes(Encoding.DER)
    return Record("issuer-1", None, TokenKey(token=called, key_id="0a"), certificate)


def test_a_key_in_the_token_that_is_configured_signs_as_its_issuer(authority: Authority) -> None:
    token = TokenThread(FakeToken({b"\x0a": authority.issuing_key}), TokenLimits(sign=60, connect=60))
    signers = Signers(SEALER, token)
    record = in_a_token(authority)

    signer = signers.of_issuer(record)

    assert signers.has_key(record)
    assert same_key(signer.public_key, authority.issuing_key.public_key())
    assert repr(signer) == "<TokenSigner token-1/0a>"


def test_a_key_in_another_token_is_not_here(authority: Authority) -> None:
    signers = Signers(SEALER, TokenThread(FakeToken(), TokenLimits()))
    record = in_a_token(authority, called="in-the-safe")

    assert not signers.has_key(record)
    with pytest.raises(KeyRefused, match="is not here"):
        signers.of_issuer(record)


def test_without_a_token_no_key_in_one_is_here(authority: Authority) -> None:
    assert not Signers(SEALER).has_key(in_a_token(authority))


def test_a_key_is_tried_by_the_certificate(authority: Authority, recipient_key: PrivateKey) -> None:
    fake = FakeToken({b"\x0a": authority.issuing_key})
    signers = Signers(SEALER, TokenThread(fake, TokenLimits(sign=60, connect=60)))
    record = in_a_token(authority)
    sealed = SEALER.seal(to_pkcs8(recipient_key), ca_key_identity("issuer-1"))

    signers.try_key(record)

    with pytest.raises(SigningRefused, match="trial of issuer issuer-1 came back"):
        signers.try_key(replace(record, token_key=None, sealed_key=sealed))
    fake.keys[b"\x0a"] = recipient_key
    with pytest.raises(SigningRefused):
        signers.try_key(record)
    fake.keys.clear()
    with pytest.raises(TokenKeyMissing):
        signers.try_key(record)


def test_a_key_in_the_token_is_destroyed_once(authority: Authority) -> None:
    fake = FakeToken({b"\x0a": authority.issuing_key})
    signers = Signers(SEALER, TokenThread(fake, TokenLimits(sign=60, connect=60)))
    place = TokenKey(token="token-1", key_id="0a")

    assert [signers.destroy(place) for _ in range(2)] == [True, False]

    with pytest.raises(KeyRefused):
        Signers(SEALER).destroy(place)


def test_a_sealed_key_is_here_and_one_that_is_nowhere_is_not(recipient_key: PrivateKey) -> None:
    sealed = SEALER.seal(to_pkcs8(recipient_key), ca_key_identity("issuer-1"))

    assert Signers(SEALER).has_key(Record("issuer-1", sealed))
    assert not Signers(SEALER).has_key(Record("issuer-1", None))


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


def test_a_responders_key_in_the_token_signs(authority: Authority) -> None:
    token = TokenThread(FakeToken({b"\x0a": authority.issuing_key}), TokenLimits(sign=60, connect=60))
    place = TokenKey(token="token-1", key_id="0a")
    der = authority.issuer.certificate.public_bytes(Encoding.DER)
    responder = replace(a_responder(None), token_key=place, certificate=der)

    signer = Signers(SEALER, token).of_responder(responder)

    assert repr(signer) == "<TokenSigner token-1/0a>"
    assert responder.has_key
    with pytest.raises(KeyRefused, match="no token 'token-1' is configured"):
        Signers(SEALER).of_responder(responder)


def test_no_place_is_free_in_a_token_that_is_known_to_be_away() -> None:
    fake = FakeToken()
    token = TokenThread(fake, TokenLimits(sign=60, connect=60))
    signers = Signers(SEALER, token)
    assert signers.free_place() != signers.free_place()
    fake.take_away()
    token.check()

    with pytest.raises(SignerUnavailable):
        signers.free_place()
    with pytest.raises(KeyRefused, match="no token is configured"):
        Signers(SEALER).free_place()
