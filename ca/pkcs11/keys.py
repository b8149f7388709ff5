"""How does a key in a token sign what cryptography's builders build? By objects that forward `sign()`.

What is to be signed is hashed here, and only the hash goes to the token: a CRL may be megabytes long, and
fewer tokens know mechanisms that hash as well. That the signature verifies is checked by whoever asked for
it, as for every key (`ca.signing`, `ca.revocation`, `ca.ocsp`).
"""

from typing import Any, Final, NoReturn, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ca.keys import PrivateKey, PublicKey
from ca.pkcs11.port import SigningMechanism, TokenKey

_SHA_256_DIGEST_INFO: Final = bytes.fromhex("3031300d060960864801650304020105000420")
"""What precedes a SHA-256 digest in a DigestInfo (RFC 8017 section 9.2, note 1)."""


class SigningToken(Protocol):
    """A token that is at hand. Safe to share among threads."""

    def sign(self, key_id: bytes, mechanism: SigningMechanism, octets: bytes) -> bytes:
        """Return the signature over `octets`.

        Raises:
            SignerUnavailable: the token does not sign now.
        """
        ...

    def require(self, key_id: bytes) -> None:
        """Return unless it is known that this key cannot sign now; asks nobody.

        Raises:
            SignerUnavailable: it is.
        """
        ...


class TokenSigner:
    """A key in a token. `public_key` is its public half, as certified: the token is asked only to sign."""

    def __init__(self, token: SigningToken, key: TokenKey, public_key: PublicKey) -> None:
        self._token = token
        self._key = key
        self._public_key = public_key

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public_key

    @property
    def signing_key(self) -> PrivateKey:
        """What cryptography's builders accept as the private key; it forwards to the token."""
        key_id = bytes.fromhex(self._key.key_id)
        if isinstance(self._public_key, rsa.RSAPublicKey):
            return _RsaTokenKey(self._token, key_id, self._public_key)
        return _EcTokenKey(self._token, key_id, self._public_key)

    def require_available(self) -> None:
        """Return unless it is known that the token does not sign now.

        Raises:
            SignerUnavailable: it is.
        """
        self._token.require(bytes.fromhex(self._key.key_id))

    def __repr__(self) -> str:
        return f"<TokenSigner {self._key.token}/{self._key.key_id}>"


class _RsaTokenKey(rsa.RSAPrivateKey):
    def __init__(self, token: SigningToken, key_id: bytes, public_key: rsa.RSAPublicKey) -> None:
        self._token = token
        self._key_id = key_id
        self._public_key = public_key

    @property
    def key_size(self) -> int:
        return self._public_key.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        return self._public_key

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:
        digest = _sha_256(data, algorithm)
        mechanism, octets = _rsa_mechanism(padding, digest)
        return self._token.sign(self._key_id, mechanism, octets)

    def decrypt(self, ciphertext: bytes, padding: Any) -> NoReturn:
        del ciphertext, padding
        _refuse("decrypts nothing")

    def private_numbers(self) -> NoReturn:
        _refuse("does not leave it")

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> NoReturn:  # noqa: A002 - cryptography's name
        del encoding, format, encryption_algorithm
        _refuse("does not leave it")

    def __copy__(self) -> "_RsaTokenKey":
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> "_RsaTokenKey":
        return self


class _EcTokenKey(ec.EllipticCurvePrivateKey):
    def __init__(self, token: SigningToken, key_id: bytes, public_key: ec.EllipticCurvePublicKey) -> None:
        self._token = token
        self._key_id = key_id
        self._public_key = public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        return self._public_key.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public_key

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        digest = _sha_256(data, signature_algorithm.algorithm)
        pair = self._token.sign(self._key_id, SigningMechanism.ECDSA, digest)
        half = len(pair) // 2
        return encode_dss_signature(int.from_bytes(pair[:half], "big"), int.from_bytes(pair[half:], "big"))

    def exchange(self, algorithm: Any, peer_public_key: Any) -> NoReturn:
        del algorithm, peer_public_key
        _refuse("agrees on nothing")

    def private_numbers(self) -> NoReturn:
        _refuse("does not leave it")

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> NoReturn:  # noqa: A002 - cryptography's name
        del encoding, format, encryption_algorithm
        _refuse("does not leave it")

    def __copy__(self) -> "_EcTokenKey":
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> "_EcTokenKey":
        return self


def _rsa_mechanism(wanted: Any, digest: bytes) -> tuple[SigningMechanism, bytes]:
    match wanted:
        case padding.PKCS1v15():
            return SigningMechanism.RSA_PKCS1, _SHA_256_DIGEST_INFO + digest
        case padding.PSS() if wanted._salt_length == len(digest):  # noqa: SLF001 - it has no public reader
            return SigningMechanism.RSA_PSS, digest
        case _:
            raise UnsupportedAlgorithm("a token signs with PKCS#1 v1.5, or PSS with a salt like the hash")


def _sha_256(data: Any, algorithm: object) -> bytes:
    if not isinstance(algorithm, hashes.SHA256):
        raise UnsupportedAlgorithm("the authority signs SHA-256 digests only")
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()


def _refuse(what: str) -> NoReturn:
    raise UnsupportedAlgorithm(f"a key in a token {what}")
