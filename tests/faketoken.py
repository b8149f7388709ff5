"""A token of the tests: keys in memory, which can be taken away, refuse a PIN, and hang."""

import threading
from collections.abc import Mapping

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from ca.errors import PinRefused, SignerUnavailable, TokenDeclined, TokenKeyMissing
from ca.keys import KeyAlgorithm, PrivateKey, PublicKey, generate
from ca.pkcs11.port import SigningMechanism

DIGEST_INFO_LENGTH = 19
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


class FakeToken:
    """Loses its session whenever it is taken away, as real ones do."""

    def __init__(self, keys: Mapping[bytes, PrivateKey] | None = None) -> None:
        self.keys = dict(keys or {})
        self.away = False
        self.refuses_pin = False
        self.is_protected = False
        """Set, it makes and destroys no key."""
        self.undestroyable: set[bytes] = set()
        self.goes_on = threading.Event()
        self.goes_on.set()
        """Cleared, calls hang until it is set."""
        self.reached = threading.Event()
        """Set by each call, before it hangs."""
        self.logins = 0
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self.closed = False
        self._session = False

    @property
    def label(self) -> str:
        return "token-1"

    def take_away(self) -> None:
        self.away = True
        self.end_session()

    def end_session(self) -> None:
        self._session = False

    def bring_back(self) -> None:
        self.away = False

    def connect(self) -> None:
        self._called("connect")
        self.logins += 1
        if self.refuses_pin:
            raise PinRefused(self.label, "does not take the PIN")
        self._session = True

    def require_key(self, key_id: bytes) -> None:
        self._called("require_key")
        self._key(key_id)

    def sign(self, key_id: bytes, mechanism: SigningMechanism, octets: bytes) -> bytes:
        self._called("sign")
        key, sha_256 = self._key(key_id), Prehashed(hashes.SHA256())
        if isinstance(key, rsa.RSAPrivateKey):
            if mechanism is SigningMechanism.RSA_PSS:
                return key.sign(octets, PSS, sha_256)
            assert mechanism is SigningMechanism.RSA_PKCS1
            return key.sign(octets[DIGEST_INFO_LENGTH:], padding.PKCS1v15(), sha_256)
        assert mechanism is SigningMechanism.ECDSA
        r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(sha_256)))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def generate(self, algorithm: KeyAlgorithm, key_id: bytes, label: str) -> PublicKey:
        self._called(f"generate {label}")
        self._opened()
        self._writable()
        self.keys[key_id] = generate(algorithm)
        return self.keys[key_id].public_key()

    def destroy(self, key_id: bytes) -> bool:
        self._called(f"destroy {key_id.hex()}")
        self._opened()
        self._writable()
        if key_id in self.undestroyable:
            raise TokenDeclined(self.label, "answers FunctionRejected")
        return self.keys.pop(key_id, None) is not None

    def public_keys(self) -> Mapping[bytes, PublicKey]:
        self._called("public_keys")
        self._opened()
        return {key_id: key.public_key() for key_id, key in self.keys.items()}

    def close(self) -> None:
        self.closed = True

    def _called(self, what: str) -> None:
        self.calls.append(what)
        self.threads.add(threading.get_ident())
        self.reached.set()
        self.goes_on.wait()
        if self.away:
            raise SignerUnavailable(self.label, "is not there")

    def _opened(self) -> None:
        if not self._session:
            raise SignerUnavailable(self.label, "answers SessionHandleInvalid")

    def _writable(self) -> None:
        if self.is_protected:
            raise TokenDeclined(self.label, "answers TokenWriteProtected")

    def _key(self, key_id: bytes) -> PrivateKey:
        self._opened()
        if key_id not in self.keys:
            raise TokenKeyMissing(self.label, f"has no private key of CKA_ID {key_id.hex()}")
        return self.keys[key_id]
