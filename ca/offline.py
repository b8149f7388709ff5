"""What is done where a root is off line? Its key file, and what is signed with it; no database is needed.

The key file is PEM: the private key as PKCS#8 under a passphrase (RFC 5958, PBES2 of RFC 8018), then the
certificate. Other software reads it as well. `cryptography` derives the key that encrypts it with 2048
rounds, whatever one asks, so the passphrase has to be long.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from ca.carequests import CaRequest
from ca.crllinting import CrlLinter, CrlScope
from ca.crlrequests import CrlRequest
from ca.crosscertification import OtherCa, cross_certify
from ca.errors import KeyFileUnusable, KeyRefused
from ca.hierarchy import create_issuing
from ca.issuance import Issuer
from ca.keys import PrivateKey, algorithm_of, same_key
from ca.linting import Linter
from ca.profiles import Profile
from ca.publication import Publication
from ca.revocation import CrlIssuer, PreparedCrl
from ca.signers import SoftwareSigner
from ca.signing import SignatureScheme

SHORTEST_PASSPHRASE: Final = 20
"""Octets: five words of a list, or a dozen random characters, would fall to a year of guessing."""
LONGEST_CRL: Final = timedelta(days=365)
"""How long a CRL of a root may hold (CA/B S/MIME BR 4.9.7: twelve months)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineCa:
    """A CA whose key came out of a file, or is about to go into one."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    scheme: SignatureScheme = SignatureScheme.PKCS1

    def __post_init__(self) -> None:
        if not same_key(self.key.public_key(), self.certificate.public_key()):
            raise KeyFileUnusable("holds a key and the certificate of another one")

    def write(self, passphrase: bytes) -> bytes:
        """Return the key file.

        Raises:
            KeyFileUnusable: the passphrase is too short.
        """
        if len(passphrase) < SHORTEST_PASSPHRASE:
            raise KeyFileUnusable(f"needs a passphrase of {SHORTEST_PASSPHRASE} characters or more")
        protected = BestAvailableEncryption(passphrase)
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protected)
        return key + self.certificate.public_bytes(Encoding.PEM)

    def sign_crl(self, request: CrlRequest, now: datetime, validity: timedelta) -> bytes:
        """Sign the CRL that was requested; DER.

        Raises:
            KeyFileUnusable: it is requested of another CA.
            LintFailed: it breaks a rule, such as holding for too long; nothing was signed.
        """
        if request.certificate != self.certificate:
            raise KeyFileUnusable("is not the key file of the CA that the CRL is requested of")
        begin = now.replace(microsecond=0)
        signer = SoftwareSigner(self.key)
        issuer = CrlIssuer(self.certificate, signer, CrlLinter(CrlScope.AUTHORITIES), scheme=self.scheme)
        crl = issuer.issue(
            PreparedCrl(
                number=max(request.number, int(now.timestamp())),
                this_update=begin,
                next_update=begin + validity,
                revoked=request.revoked,
            )
        )
        return crl.public_bytes(Encoding.DER)

    def certify(
        self, request: CaRequest, profile: Profile, publication: Publication, now: datetime
    ) -> x509.Certificate:
        """Certify an issuing CA, linted before it is signed.

        Raises:
            ProfileRefused: this is no root, or it ends too soon.
            LintFailed: the certificate would break a rule; nothing was signed.
        """
        return create_issuing(self._root(publication), profile, request.name, request.public_key, now)

    def cross_certify(
        self, other: OtherCa, profile: Profile, publication: Publication, now: datetime
    ) -> x509.Certificate:
        """Certify somebody else's CA, likewise."""
        return cross_certify(self._root(publication), profile, other, now)

    def _root(self, publication: Publication) -> Issuer:
        signer = SoftwareSigner(self.key)
        return Issuer(self.certificate, signer, publication, Linter(), scheme=self.scheme)


def read_key_file(
    file: bytes, passphrase: bytes, scheme: SignatureScheme = SignatureScheme.PKCS1
) -> OfflineCa:
    """Read a key file.

    Raises:
        KeyFileUnusable: it is none, or the passphrase is another one.
    """
    try:
        key = load_pem_private_key(file, passphrase)
        certificate = x509.load_pem_x509_certificate(file)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: what the parser says about a private key's bytes is nobody's reading.
        raise KeyFileUnusable("is no key file with a certificate, or its passphrase is another one") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise KeyFileUnusable("holds a key of a kind that is not used")
    try:
        algorithm_of(key.public_key())
    except KeyRefused as error:
        raise KeyFileUnusable("holds a key of a kind that is not used") from error
    return OfflineCa(certificate=certificate, key=key, scheme=scheme)
