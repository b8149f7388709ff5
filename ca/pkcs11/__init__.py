"""Keys that live in a token, and sign there: PKCS#11 v2.40 (OASIS)."""

from ca.pkcs11.keys import TokenSigner
from ca.pkcs11.port import TokenDriver, TokenKey
from ca.pkcs11.token import TokenLimits, TokenThread

__all__ = ["TokenDriver", "TokenKey", "TokenLimits", "TokenSigner", "TokenThread"]
