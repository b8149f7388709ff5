"""Who holds an issuer's private key, and how does one get signatures out of him?

A token (PKCS#11) fits as well as a key in memory: cryptography's builders call `sign()` on whatever object
implements its key interface, so a token's signer hands out a key object that forwards `sign()` to the token
and refuses `private_bytes()`. Knows nothing of what is being signed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ca.keys import PrivateKey, PublicKey, algorithm_of
from ca.pkcs11.port import TokenKey


class Signer(Protocol):
    """Holds one private key that signs certificates, CRLs and OCSP responses."""

    @property
    def public_key(self) -> PublicKey:
        """The public half, to compare with the issuer's certificate."""
        ...

    @property
    def signing_key(self) -> PrivateKey:
        """What cryptography's builders accept as the private key; it may forward to a token."""
        ...

    def require_available(self) -> None:
        """Return unless it is known that the key cannot sign now; asks nobody.

        Raises:
            SignerUnavailable: it is.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeKey:
    """A key pair that was just made, for an issuer that is about to be."""

    signer: Signer
    kept: PrivateKey | TokenKey = field(repr=False)
    """The private half, to be sealed; or where in the token it is."""

    @property
    def place(self) -> Mapping[str, str]:
        """What is put on record of where it is kept."""
        return place_of(self.kept if isinstance(self.kept, TokenKey) else None)


def place_of(key: TokenKey | None) -> Mapping[str, str]:
    """Return what is put on record of where a key is kept: in a token, or sealed."""
    if key is None:
        return {"kept": "sealed"}
    return {"kept": "token", "token": key.token, "token_key": key.key_id}


class SoftwareSigner:
    """A key in this process's memory."""

    __slots__ = ("_private_key", "_public_key")

    def __init__(self, private_key: PrivateKey) -> None:
        self._private_key = private_key
        self._public_key = private_key.public_key()

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public_key

    @property
    def signing_key(self) -> PrivateKey:
        """The private key itself."""
        return self._private_key

    def require_available(self) -> None:
        """Return: it is here."""

    def __repr__(self) -> str:
        return f"<SoftwareSigner {algorithm_of(self._public_key)}>"
