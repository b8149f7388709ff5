"""How is a token spoken to? The one module that knows python-pkcs11, and turns its errors into ours.

What a library still knows of a token that was away differs from one to the next: SoftHSM, for one, serves a
token that has come back only after C_Finalize and C_Initialize, and so does every `connect` here. The library
is the process's: one driver for each.
"""

import hmac
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pkcs11
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters

from ca.errors import KeyRefused, PinRefused, SignerUnavailable, TokenDeclined, TokenKeyMissing
from ca.keyquality import check_quality
from ca.keys import MODULUS_BITS, KeyAlgorithm, PublicKey, algorithm_of
from ca.pkcs11.port import SigningMechanism

_MECHANISMS: Final[Mapping[SigningMechanism, Mapping[str, Any]]] = {
    SigningMechanism.RSA_PKCS1: {"mechanism": pkcs11.Mechanism.RSA_PKCS},
    SigningMechanism.RSA_PSS: {
        "mechanism": pkcs11.Mechanism.RSA_PKCS_PSS,
        "mechanism_param": (pkcs11.Mechanism.SHA256, pkcs11.MGF.SHA256, 32),
    },
    SigningMechanism.ECDSA: {"mechanism": pkcs11.Mechanism.ECDSA},
}
_PIN_REFUSED: Final = {
    pkcs11.PinIncorrect: "does not take the PIN",
    pkcs11.PinInvalid: "does not take the PIN",
    pkcs11.PinLenRange: "does not take a PIN of this length",
    pkcs11.PinLocked: "has locked its PIN",
    pkcs11.PinExpired: "wants another PIN: this one has expired",
    pkcs11.UserPinNotInitialized: "has no user PIN yet",
}
_REASONS: Final = {
    pkcs11.NoSuchToken: "is not there",
    pkcs11.TokenNotPresent: "is not there",
    pkcs11.DeviceRemoved: "was taken away",
    pkcs11.MultipleTokensReturned: "is there more than once",
    pkcs11.MultipleObjectsReturned: "has several keys of this CKA_ID",
}
_LOST: Final = (
    pkcs11.NoSuchToken,
    pkcs11.TokenNotPresent,
    pkcs11.TokenNotRecognised,
    pkcs11.DeviceRemoved,
    pkcs11.SessionClosed,
    pkcs11.SessionHandleInvalid,
    pkcs11.UserNotLoggedIn,
)
"""What is no answer about a key: the token is gone, or the session."""


class Pkcs11Driver:
    """A token, found by its label, behind a PKCS#11 module. The PIN is read anew for every login.

    A PIN that was refused is not offered again, and the last try before the token locks itself is left to a
    person.
    """

    def __init__(self, module: Path, label: str, read_pin: Callable[[], str]) -> None:
        self._module = module
        self._label = label
        self._read_pin = read_pin
        self._refused_pin: str | None = None
        self._session: pkcs11.Session | None = None
        self._keys: dict[bytes, Any] = {}

    @property
    def label(self) -> str:
        """The token's label."""
        return self._label

    def connect(self) -> None:
        """Log in, from the very beginning: what was known of the token before is forgotten."""
        self._session = None
        self._keys.clear()
        with self._mapping_errors():
            token = self._token()
            pin = self._pin_for(token)
            try:
                self._session = token.open(user_pin=pin)
            except tuple(_PIN_REFUSED):
                self._refused_pin = pin
                raise
            self._refused_pin = None

    def require_key(self, key_id: bytes) -> None:
        """Return if there is a private key of this CKA_ID."""
        with self._mapping_errors():
            self._keys.pop(key_id, None)
            self._key(key_id)

    def sign(self, key_id: bytes, mechanism: SigningMechanism, octets: bytes) -> bytes:
        """Return the signature over `octets`."""
        with self._mapping_errors():
            return bytes(self._key(key_id).sign(octets, **_MECHANISMS[mechanism]))

    def generate(self, algorithm: KeyAlgorithm, key_id: bytes, label: str) -> PublicKey:
        """Make a key pair in the token, whose private half cannot leave it; return the public half."""
        common: dict[str, Any] = {
            "id": key_id,
            "label": label,
            "store": True,
            "capabilities": pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.VERIFY,
            "private_template": {
                pkcs11.Attribute.PRIVATE: True,
                pkcs11.Attribute.SENSITIVE: True,
                pkcs11.Attribute.EXTRACTABLE: False,
            },
        }
        with self._mapping_errors(may_decline=True):
            # The login is the token's, whichever session it was made in; only this one may write.
            writing = self._opened().token.open(rw=True)
            try:
                if algorithm.is_rsa:
                    public, _ = writing.generate_keypair(
                        pkcs11.KeyType.RSA, MODULUS_BITS[algorithm], **common
                    )
                else:
                    curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
                    parameters = writing.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
                    public, _ = parameters.generate_keypair(**common)
                made = _public_key(public)
            finally:
                writing.close()
        check_quality(made)  # tokens, too, have made keys that can be taken apart
        return made

    def destroy(self, key_id: bytes) -> bool:
        """Destroy both halves of the key pair of this CKA_ID; tell whether there was one."""
        self._keys.pop(key_id, None)
        with self._mapping_errors(may_decline=True):
            writing = self._opened().token.open(rw=True)
            try:
                halves = list(writing.get_objects({pkcs11.Attribute.ID: key_id}))
                for half in halves:
                    half.destroy()
            finally:
                writing.close()
        return bool(halves)

    def public_keys(self) -> Mapping[bytes, PublicKey]:
        """Return the public halves of the private keys that are of a kind we use, by CKA_ID."""
        found: dict[bytes, PublicKey] = {}
        with self._mapping_errors():
            session = self._opened()
            private = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}
            for key_id in [key[pkcs11.Attribute.ID] for key in session.get_objects(private)]:
                with suppress(pkcs11.NoSuchKey, KeyRefused):
                    public = session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, id=key_id)
                    found[key_id] = _public_key(public)
        return found

    def close(self) -> None:
        """Log out, as far as that is possible; never raises."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(pkcs11.PKCS11Error):
                session.close()

    def _token(self) -> pkcs11.Token:
        library = pkcs11.lib(str(self._module))
        with suppress(pkcs11.PKCS11Error):  # what is gone cannot be finalized, and need not be
            library.finalize()
        library.initialize()
        return library.get_token(token_label=self._label)

    def _pin_for(self, token: pkcs11.Token) -> str:
        pin = self._read_pin()
        if self._refused_pin is not None and hmac.compare_digest(pin.encode(), self._refused_pin.encode()):
            raise PinRefused(self._label, "does not take the PIN")
        if token.flags & pkcs11.TokenFlag.USER_PIN_FINAL_TRY:
            raise PinRefused(self._label, "has one try left for its PIN, which is left to a person")
        return pin

    def _opened(self) -> pkcs11.Session:
        if self._session is None:
            raise SignerUnavailable(self._label, "is not connected")
        return self._session

    def _key(self, key_id: bytes) -> Any:
        key = self._keys.get(key_id)
        if key is None:
            session = self._opened()
            try:
                key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, id=key_id)
            except pkcs11.NoSuchKey as error:
                raise TokenKeyMissing(self._label, f"has no private key of CKA_ID {key_id.hex()}") from error
            self._keys[key_id] = key
        return key

    @contextmanager
    def _mapping_errors(self, *, may_decline: bool = False) -> Iterator[None]:
        try:
            yield
        except tuple(_PIN_REFUSED) as error:
            raise PinRefused(self._label, _PIN_REFUSED[type(error)]) from error
        except pkcs11.PKCS11Error as error:
            said = str(error)
            name = f"answers {type(error).__name__}" + (f": {said}" if said else "")
            is_declined = may_decline and not isinstance(error, _LOST)
            kind = TokenDeclined if is_declined else SignerUnavailable
            raise kind(self._label, _REASONS.get(type(error), name)) from error


def _public_key(key: Any) -> PublicKey:
    """Read a public key out of a token.

    Raises:
        KeyRefused: it is of a kind that we do not use.
    """
    if key.key_type is pkcs11.KeyType.RSA:
        numbers = rsa.RSAPublicNumbers(
            e=int.from_bytes(key[pkcs11.Attribute.PUBLIC_EXPONENT], "big"),
            n=int.from_bytes(key[pkcs11.Attribute.MODULUS], "big"),
        )
        return _accepted(numbers.public_key())
    if key.key_type is pkcs11.KeyType.EC:
        return _accepted(load_der_public_key(encode_ec_public_key(key)))
    raise KeyRefused("only RSA and P-256 keys are accepted")


def _accepted(public_key: object) -> PublicKey:
    algorithm_of(public_key)
    if not isinstance(public_key, PublicKey):
        raise KeyRefused("only RSA and P-256 keys are accepted")
    return public_key
