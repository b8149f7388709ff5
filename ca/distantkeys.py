"""How does one sign with a key that is in another process? By asking whoever has it.

cryptography's builders take whatever object is registered as one of its private keys, and call its `sign()`.
How the question gets there is the caller's business.
"""

from collections.abc import Callable
from typing import TypeAlias, cast

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ca.keys import PrivateKey, PublicKey

Ask: TypeAlias = Callable[[bytes], bytes]
"""Returns the signature over octets, made as the authority always signs with this key."""


class DistantSigner:
    """The signer of a key whose public half is all that is here."""

    def __init__(self, public_key: PublicKey, ask: Ask) -> None:
        self._public_key = public_key
        kind = _DistantRsaKey if isinstance(public_key, rsa.RSAPublicKey) else _DistantEllipticCurveKey
        self._signing_key = kind(public_key, ask)

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public_key

    @property
    def signing_key(self) -> PrivateKey:
        """What asks for each signature; it can do nothing else of what a private key can."""
        return cast("PrivateKey", self._signing_key)

    def require_available(self) -> None:
        """Return: whether it is, whoever has the key will tell."""


class _DistantKey:
    def __init__(self, public_key: PublicKey, ask: Ask) -> None:
        self._public_key = public_key
        self._ask = ask

    def public_key(self) -> PublicKey:
        return self._public_key

    def sign(self, data: bytes, *_manner: object) -> bytes:
        # In which manner, padding and hash, is not told: the other side has its own opinion, and only one.
        return self._ask(data)


@rsa.RSAPrivateKey.register
class _DistantRsaKey(_DistantKey):
    pass


@ec.EllipticCurvePrivateKey.register
class _DistantEllipticCurveKey(_DistantKey):
    pass
