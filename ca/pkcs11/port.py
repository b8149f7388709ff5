"""What is a token to the authority? The few things that are asked of it, and the name of a key in it.

Everything else of PKCS#11 is the driver's (`ca.pkcs11.driver`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto, unique
from typing import Protocol

from ca.keys import KeyAlgorithm, PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    """Where a private key is; no secret."""

    token: str
    """The label of the token."""
    key_id: str
    """The CKA_ID of the key, in hex."""


@unique
class SigningMechanism(Enum):
    """How a token signs what has been hashed already (PKCS#11 v2.40 mechanisms, sections 2.1 and 2.3)."""

    RSA_PKCS1 = auto()
    """CKM_RSA_PKCS over a DigestInfo."""
    RSA_PSS = auto()
    """CKM_RSA_PKCS_PSS over a SHA-256 digest, with MGF1 of the same hash and a salt of its length."""
    ECDSA = auto()
    """CKM_ECDSA over a digest; the signature is r and s, each as long as the order of the curve."""


class TokenDriver(Protocol):
    """One token behind its PKCS#11 library.

    Used by one thread at a time. Every call may take as long as the token likes.

    Raises:
        PinRefused, TokenKeyMissing: as they say.
        TokenDeclined: it was asked to make or destroy a key, and has answered that it does not.
        SignerUnavailable: whatever else goes wrong.
    """

    @property
    def label(self) -> str:
        """The token's label."""
        ...

    def connect(self) -> None:
        """Log in, from the very beginning: what was known of the token before is forgotten."""
        ...

    def require_key(self, key_id: bytes) -> None:
        """Return if there is a private key of this CKA_ID."""
        ...

    def sign(self, key_id: bytes, mechanism: SigningMechanism, octets: bytes) -> bytes:
        """Return the signature over `octets`."""
        ...

    def generate(self, algorithm: KeyAlgorithm, key_id: bytes, label: str) -> PublicKey:
        """Make a key pair in the token, whose private half cannot leave it; return the public half."""
        ...

    def destroy(self, key_id: bytes) -> bool:
        """Destroy both halves of the key pair of this CKA_ID; tell whether there was one."""
        ...

    def public_keys(self) -> Mapping[bytes, PublicKey]:
        """Return the public halves of the private keys that are of a kind we use, by CKA_ID."""
        ...

    def close(self) -> None:
        """Log out, as far as that is possible; never raises."""
        ...
