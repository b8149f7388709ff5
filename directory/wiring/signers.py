"""Who holds the private key behind a record, and how does it sign? The one place where keys are opened.

Whatever signs as an issuer (certificates, CRLs, OCSP responders) or as a responder comes by its signer here.
"""

import secrets
from typing import Final, Protocol

from cryptography import x509

from ca.errors import KeyRefused
from ca.keys import KeyAlgorithm, PublicKey, generate, unsafe_from_sealed_pkcs8
from ca.pkcs11 import TokenKey, TokenSigner, TokenThread
from ca.sealing import SealedSecret, Sealer, SecretIdentity, SecretKind
from ca.signers import MadeKey, Signer, SoftwareSigner
from ca.signing import require_trial
from directory.ocsp_responders import StoredResponder, ocsp_key_identity

_KEY_ID_OCTETS: Final = 16
"""How long the CKA_ID is of a key that is made in a token."""


class KeyOfIssuer(Protocol):
    """What a record of an issuer says about its key."""

    @property
    def issuer_id(self) -> str:
        """The subject key identifier of its certificate, in hex."""
        ...

    @property
    def sealed_key(self) -> SealedSecret | None:
        """None where the key is elsewhere."""
        ...

    @property
    def token_key(self) -> TokenKey | None:
        """Where in a token the key is."""
        ...

    @property
    def certificate(self) -> bytes:
        """DER."""
        ...


class Signers:
    """Opens the keys of issuers and responders; what it returns holds the key for as long as it is held."""

    def __init__(self, sealer: Sealer, token: TokenThread | None = None) -> None:
        self._sealer = sealer
        self._token = token

    def has_key(self, issuer: KeyOfIssuer) -> bool:
        """Tell whether the key of an issuer is here: sealed, or in the token that is configured."""
        return issuer.sealed_key is not None or self._token_of(issuer) is not None

    def make_key(self, algorithm: KeyAlgorithm, name: str, *, in_token: bool) -> MadeKey:
        """Make a key pair for an issuer of this name, in the token or in memory; takes its time.

        Raises:
            KeyRefused: there is no token, or it has made a key that can be taken apart.
            SignerUnavailable: the token could not make one.
        """
        return self.make_key_at(self.free_place() if in_token else None, algorithm, name)

    def free_place(self) -> TokenKey:
        """Return a place in the token where no key is yet; asks nobody.

        Raises:
            KeyRefused: there is no token.
            SignerUnavailable: it is known that the token is away.
        """
        if self._token is None:
            raise KeyRefused("no token is configured that a key could be made in")
        key_id = secrets.token_bytes(_KEY_ID_OCTETS)
        self._token.require(key_id)
        return TokenKey(token=self._token.label, key_id=key_id.hex())

    def make_key_at(self, place: TokenKey | None, algorithm: KeyAlgorithm, name: str) -> MadeKey:
        """Make a key pair at a place in the token, or in memory; takes its time.

        Raises:
            KeyRefused: the place is in no token that is here, or that has made a key that can be taken apart.
            SignerUnavailable: the token could not make one.
        """
        if place is None:
            key = generate(algorithm)
            return MadeKey(signer=SoftwareSigner(key), kept=key)
        token = self._token_named(place.token)
        public_key = token.generate(algorithm, bytes.fromhex(place.key_id), name)
        return MadeKey(signer=TokenSigner(token, place, public_key), kept=place)

    def destroy(self, place: TokenKey) -> bool:
        """Destroy a key in the token; tell whether there was one.

        Raises:
            KeyRefused: the place is in no token that is here.
            SignerUnavailable: the token could not.
        """
        return self._token_named(place.token).destroy(bytes.fromhex(place.key_id))

    def try_key(self, issuer: KeyOfIssuer) -> None:
        """Let the key of an issuer sign a trial, and check it by the certificate; takes its time.

        Raises:
            KeyRefused: its key is not here, or of a kind that is not used.
            SealBroken: it does not open.
            SignerUnavailable: its token is away, or does not hold the key any more.
            SigningRefused: it is another key.
        """
        signer, certified = self.of_issuer(issuer), _public_key(issuer.certificate)
        require_trial(signer, certified, f"issuer {issuer.issuer_id}")

    def of_issuer(self, issuer: KeyOfIssuer) -> Signer:
        """Return what signs as this issuer.

        Raises:
            KeyRefused: its key is not here, or of a kind that is not used.
            SealBroken: it does not open.
        """
        token = self._token_of(issuer)
        if token is not None and issuer.token_key is not None:
            return TokenSigner(token, issuer.token_key, _public_key(issuer.certificate))
        if issuer.sealed_key is None:
            raise KeyRefused(f"the key of issuer {issuer.issuer_id} is not here")
        return self._opened(issuer.sealed_key, ca_key_identity(issuer.issuer_id))

    def of_responder(self, responder: StoredResponder) -> Signer:
        """Return what signs as this OCSP responder.

        Raises:
            KeyRefused: its key has been erased, is in another token, or is of a kind that is not used.
            SealBroken: it does not open.
        """
        if responder.token_key is not None:
            token = self._token_named(responder.token_key.token)
            token.may_replace(bytes.fromhex(responder.token_key.key_id))
            return TokenSigner(token, responder.token_key, _public_key(responder.certificate))
        if responder.sealed_key is None:
            raise KeyRefused(f"the key of OCSP responder {responder.responder_id} has been erased")
        return self._opened(responder.sealed_key, ocsp_key_identity(responder.responder_id))

    def look_for_key_of(self, responder: StoredResponder) -> None:
        """Find out whether the key of a responder is in its token, if that is here, for `misses_key_of`."""
        place = responder.token_key
        if self._token is not None and place is not None and place.token == self._token.label:
            self._token.look_for(bytes.fromhex(place.key_id))

    def misses_key_of(self, responder: StoredResponder) -> bool:
        """Tell whether the key of a responder is missing from its token, as last known; asks nobody.

        Of a token that is not here, or away, nothing is known.
        """
        place = responder.token_key
        if self._token is None or place is None or place.token != self._token.label:
            return False
        return self._token.misses(bytes.fromhex(place.key_id))

    def _token_of(self, issuer: KeyOfIssuer) -> TokenThread | None:
        """Return the token that holds the key of an issuer; None if it is not the one that is configured."""
        if self._token is None or issuer.token_key is None or issuer.token_key.token != self._token.label:
            return None
        return self._token

    def _token_named(self, label: str) -> TokenThread:
        if self._token is None or self._token.label != label:
            raise KeyRefused(f"no token {label!r} is configured")
        return self._token

    def _opened(self, sealed: SealedSecret, identity: SecretIdentity) -> Signer:
        return SoftwareSigner(unsafe_from_sealed_pkcs8(self._sealer.unseal(sealed, identity)))


def _public_key(der: bytes) -> PublicKey:
    public_key = x509.load_der_x509_certificate(der).public_key()
    if not isinstance(public_key, PublicKey):
        raise KeyRefused("the authority's keys are RSA or P-256")
    return public_key


def ca_key_identity(issuer_id: str) -> SecretIdentity:
    """Return what an issuer's sealed private key is bound to."""
    return SecretIdentity(kind=SecretKind.CA_KEY, record_id=issuer_id, organization_id=None)
