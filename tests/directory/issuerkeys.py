"""Issuers' keys, sealed under the tests' master key."""

from cryptography import x509

from ca.errors import KeyRefused
from ca.issuance import Issuer
from ca.keys import KeyAlgorithm, PrivateKey, generate, to_pkcs8, unsafe_from_sealed_pkcs8
from ca.linting import Linter
from ca.pkcs11 import TokenKey
from ca.sealing import SealedSecret
from ca.signers import MadeKey, SoftwareSigner
from directory.hierarchy import StoredIssuer
from directory.wiring.signers import ca_key_identity
from tests.builders import PUBLICATION
from tests.contracts.world import SEALER


class SealedKeys:
    """Seals and opens."""

    def __init__(self, linter: Linter) -> None:
        self._linter = linter

    def make(self, algorithm: KeyAlgorithm, name: str, *, in_token: bool) -> MadeKey:
        del name
        assert not in_token
        key = generate(algorithm)
        return MadeKey(signer=SoftwareSigner(key), kept=key)

    def destroy(self, place: TokenKey) -> None:
        raise KeyRefused(f"no token {place.token!r} is configured")

    def seal(self, key: PrivateKey, issuer_id: str) -> SealedSecret:
        return SEALER.seal(to_pkcs8(key), ca_key_identity(issuer_id))

    def unseal(self, sealed: SealedSecret, issuer_id: str) -> PrivateKey:
        return unsafe_from_sealed_pkcs8(SEALER.unseal(sealed, ca_key_identity(issuer_id)))

    def open(self, issuer: StoredIssuer) -> Issuer:
        if issuer.sealed_key is None:
            raise KeyRefused("its key is not here")
        key = self.unseal(issuer.sealed_key, issuer.issuer_id)
        certificate = x509.load_der_x509_certificate(issuer.certificate)
        return Issuer(certificate, SoftwareSigner(key), PUBLICATION, self._linter)
