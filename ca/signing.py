"""How does a certificate get signed, and what keeps an unlinted one from it?

    PreparedCertificate ──lint──► LintedCertificate ──sign──► x509.Certificate

A copy signed with a throw-away key goes to the linter first. The issuer's key touches only what passed, once,
and the result is compared with what was linted. What is being certified, and why, is settled in `ca.issuance`
and `ca.hierarchy`; in here it is only bytes to be.
"""

import threading
import weakref
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from functools import cache
from typing import Final, final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from ca import houserules
from ca.errors import LintFailed, SigningRefused
from ca.keys import KeyAlgorithm, PrivateKey, PublicKey, generate
from ca.linting import CertificateLinter, Finding, Severity
from ca.profiles import Purpose
from ca.signers import Signer

SIGNATURE_HASH = hashes.SHA256()
"""The hash under every signature of the authority, for RSA as for P-256."""
_TRIAL: Final = b"pushpki ca token test"
"""What is signed to see whether a key signs: the beginning of no certificate, CRL or response."""


@unique
class SignatureScheme(StrEnum):
    """How an issuer's RSA key signs; a P-256 key has but one way."""

    PKCS1 = "pkcs1"
    """RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2), which everybody can check."""
    PSS = "pss"
    """RSASSA-PSS with MGF1 and a salt as long as the hash (RFC 8017 section 8.1, RFC 4055 section 3.1)."""

    def padding_for(self, key: PrivateKey) -> padding.PSS | None:
        """Return what cryptography's builders take as `rsa_padding`."""
        if self is SignatureScheme.PKCS1 or not isinstance(key, rsa.RSAPrivateKey):
            return None
        return padding.PSS(mgf=padding.MGF1(SIGNATURE_HASH), salt_length=SIGNATURE_HASH.digest_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCertificate:
    """All that is to be signed (RFC 5280 section 4.1.2), complete but not yet judged."""

    purpose: Purpose
    issuer_name: x509.Name
    subject_name: x509.Name
    public_key: PublicKey
    serial_number: int
    not_before: datetime
    not_after: datetime
    extensions: tuple[x509.Extension[x509.ExtensionType], ...]
    crl_partition: int | None = None
    """Which of its issuer's CRLs it names as its distribution point; None: the complete one, or none."""


@final
class _Passed:
    """What `LintedCertificate` asks of its maker, so that only this module can make one."""


@final
@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False, repr=False)
class LintedCertificate:
    """A prepared certificate that passed the linter: the only thing that can be signed, and only once."""

    prepared: PreparedCertificate
    tbs_certificate: bytes
    """The very bytes that were linted and that alone may be signed."""
    _witness: _Passed

    def __repr__(self) -> str:
        return f"<LintedCertificate {self.prepared.purpose} {self.prepared.serial_number:x}>"


class SigningGate:
    """One issuer's key behind its linter.

    Safe to share among threads. The certificate is None while a root signs itself.
    """

    def __init__(
        self,
        signer: Signer,
        linter: CertificateLinter,
        certificate: x509.Certificate | None,
        scheme: SignatureScheme = SignatureScheme.PKCS1,
    ) -> None:
        self._signer = signer
        self._scheme = scheme
        self._linter = linter
        self._certificate = certificate
        self._throwaway_key = throwaway_key_like(signer.public_key)
        self._signable: weakref.WeakSet[LintedCertificate] = weakref.WeakSet()
        self._lock = threading.Lock()

    def require_available(self) -> None:
        """Return unless it is known that the issuer's key cannot sign now.

        Raises:
            SignerUnavailable: it is.
        """
        self._signer.require_available()

    def lint(self, prepared: PreparedCertificate) -> LintedCertificate:
        """Judge a copy that is signed with a throw-away key; the issuer's key is not used.

        Raises:
            LintFailed: it breaks a rule, or cannot even be encoded.
        """
        try:
            copy = _signed(prepared, self._throwaway_key, self._scheme)
        except ValueError as error:  # a serial number of zero, an extension twice
            raise LintFailed(("pushpki.not_encodable (FATAL)",)) from error
        findings = self._linter.findings(copy.public_bytes(Encoding.DER), prepared.purpose)
        # Whether it fits its issuer is safe to read once nothing else is wrong; a root is its own issuer.
        findings = findings or tuple(
            Finding(severity=Severity.ERROR, code=code)
            for code in houserules.broken_between(copy, self._certificate or copy)
        )
        if findings:
            raise LintFailed(tuple(str(finding) for finding in findings))
        linted = LintedCertificate(prepared, copy.tbs_certificate_bytes, _Passed())
        with self._lock:
            self._signable.add(linted)
        return linted

    def sign(self, linted: LintedCertificate) -> x509.Certificate:
        """Sign with the issuer's key what this very gate has linted.

        Raises:
            SigningRefused: linted elsewhere or signed before; or what the key returned is not a signature
                of the issuer's over the bytes that were linted.
            SignerUnavailable: the key is in a token that does not sign now.
        """
        with self._lock:
            if linted not in self._signable:
                raise SigningRefused("was not linted for this issuer, or has been signed before")
            self._signable.remove(linted)
        certificate = _signed(linted.prepared, self._signer.signing_key, self._scheme)
        if certificate.tbs_certificate_bytes != linted.tbs_certificate:
            raise SigningRefused("is not what was linted")
        try:
            certificate.verify_directly_issued_by(self._certificate or certificate)
        except InvalidSignature as error:  # a failing token, or a fault in the arithmetic
            raise SigningRefused("came back with a signature that does not verify") from error
        return certificate


def _signed(prepared: PreparedCertificate, key: PrivateKey, scheme: SignatureScheme) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .issuer_name(prepared.issuer_name)
        .subject_name(prepared.subject_name)
        .public_key(prepared.public_key)
        .serial_number(prepared.serial_number)
        .not_valid_before(prepared.not_before)
        .not_valid_after(prepared.not_after)
    )
    for extension in prepared.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder.sign(key, SIGNATURE_HASH, rsa_padding=scheme.padding_for(key))


def throwaway_key_like(public_key: PublicKey) -> PrivateKey:
    """Return a key whose signature a linter can look at in place of the issuer's."""
    # Of the same kind, because the signature algorithm is among the bytes that are linted. The size is not,
    # and a small RSA key signs faster.
    return _throwaway_key(
        KeyAlgorithm.RSA_2048 if isinstance(public_key, rsa.RSAPublicKey) else KeyAlgorithm.P_256
    )


@cache
def _throwaway_key(algorithm: KeyAlgorithm) -> PrivateKey:
    # One for each process: an issuer is opened for every CRL, and a key takes longer than most of them.
    return generate(algorithm)


def signature_over(octets: bytes, signer: Signer) -> bytes:
    """Sign what is neither a certificate nor a CRL, as the authority signs: SHA-256, RSA by PKCS#1 v1.5.

    Raises:
        SignerUnavailable: the key is in a token that does not sign now.
    """
    key = signer.signing_key
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(octets, padding.PKCS1v15(), SIGNATURE_HASH)
    return key.sign(octets, ec.ECDSA(SIGNATURE_HASH))


def require_signature(public_key: PublicKey, signature: bytes, octets: bytes, what: str) -> None:
    """Return if the key has made this signature: a fault in the arithmetic of RSA would give it away.

    Raises:
        SigningRefused: it has not; `what` says of what.
    """
    try:
        if isinstance(public_key, rsa.RSAPublicKey):
            public_key.verify(signature, octets, padding.PKCS1v15(), SIGNATURE_HASH)
        else:
            public_key.verify(signature, octets, ec.ECDSA(SIGNATURE_HASH))
    except InvalidSignature as error:
        raise SigningRefused("came back with a signature that does not verify", what=what) from error


def require_trial(signer: Signer, certified: PublicKey, whose: str) -> None:
    """Return if a key signs, and is the one that was certified: it signs a trial.

    Raises:
        SignerUnavailable: the key is in a token that does not sign now, or does not hold it any more.
        SigningRefused: another key has signed.
    """
    require_signature(certified, signature_over(_TRIAL, signer), _TRIAL, f"trial of {whose}")
