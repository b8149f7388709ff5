"""Issuers' keys, sealed under the tests' master key, or in a token."""

from cryptography import x509

from ca.issuance import Issuer
from ca.keys import KeyAlgorithm, PrivateKey, to_pkcs8, unsafe_from_sealed_pkcs8
from ca.linting import Linter
from ca.pkcs11 import TokenThread
from ca.sealing import SealedSecret
from ca.signers import MadeKey
from directory.hierarchy import StoredIssuer
from directory.wiring.signers import Signers, ca_key_identity
from tests.builders import PUBLICATION
from tests.contracts.world import SEALER


class SealedKeys:
    """Seals and opens."""

    def __init__(self, linter: Linter, token: TokenThread | None = None) -> None:
        self._linter = linter
        self._signers = Signers(SEALER, token)

    def make(self, algorithm: KeyAlgorithm, name: str, *, in_token: bool) -> MadeKey:
        return self._signers.make_key(algorithm, name, in_token=in_token)

    def try_key(self, issuer: StoredIssuer) -> None:
        self._signers.try_key(issuer)

    def seal(self, key: PrivateKey, issuer_id: str) -> SealedSecret:
        return SEALER.seal(to_pkcs8(key), ca_key_identity(issuer_id))

    def unseal(self, sealed: SealedSecret, issuer_id: str) -> PrivateKey:
        return unsafe_from_sealed_pkcs8(SEALER.unseal(sealed, ca_key_identity(issuer_id)))

    def open(self, issuer: StoredIssuer) -> Issuer:
        certificate = x509.load_der_x509_certificate(issuer.certificate)
        return Issuer(certificate, self._signers.of_issuer(issuer), PUBLICATION, self._linter)
