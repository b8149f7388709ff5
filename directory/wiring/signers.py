"""Who holds the private key behind a record, and how does it sign? The one place where such keys are opened.

Whatever signs as an issuer (certificates, CRLs, OCSP responders) or as a responder comes by its signer here.
"""

from typing import Protocol

from ca.errors import KeyRefused
from ca.keys import unsafe_from_sealed_pkcs8
from ca.sealing import SealedSecret, Sealer, SecretIdentity, SecretKind
from ca.signers import Signer, SoftwareSigner
from directory.ocsp_responders import StoredResponder, ocsp_key_identity


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


class Signers:
    """Opens the keys of issuers and responders; what it returns holds the key for as long as it is held."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def of_issuer(self, issuer: KeyOfIssuer) -> Signer:
        """Return what signs as this issuer.

        Raises:
            KeyRefused: its key is not here, or of a kind that is not used.
            SealBroken: it does not open.
        """
        if issuer.sealed_key is None:
            raise KeyRefused(f"the key of issuer {issuer.issuer_id} is not here")
        return self._opened(issuer.sealed_key, ca_key_identity(issuer.issuer_id))

    def of_responder(self, responder: StoredResponder) -> Signer:
        """Return what signs as this OCSP responder.

        Raises:
            KeyRefused: its key has been erased, or is of a kind that is not used.
            SealBroken: it does not open.
        """
        if responder.sealed_key is None:
            raise KeyRefused(f"the key of OCSP responder {responder.responder_id} has been erased")
        return self._opened(responder.sealed_key, ocsp_key_identity(responder.responder_id))

    def _opened(self, sealed: SealedSecret, identity: SecretIdentity) -> Signer:
        return SoftwareSigner(unsafe_from_sealed_pkcs8(self._sealer.unseal(sealed, identity)))


def ca_key_identity(issuer_id: str) -> SecretIdentity:
    """Return what an issuer's sealed private key is bound to."""
    return SecretIdentity(kind=SecretKind.CA_KEY, record_id=issuer_id, organization_id=None)
