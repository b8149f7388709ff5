"""Whose key is this? Public keys that others bring: in a request (RFC 2986), a certificate, or by themselves.

Nothing but the key is taken over from a request: what a certificate says is the profile's affair. So names
in it are either those that the certificate will have, or a misunderstanding, which is refused.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from cryptography.x509.oid import NameOID

from ca.address import Mailbox
from ca.errors import AddressRefused, KeyRefused
from ca.keyquality import check_quality
from ca.keys import PublicKey, algorithm_of

_STRONG_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """A key that its owner asks a certificate for, and has shown to have."""

    public_key: PublicKey
    mailboxes: frozenset[Mailbox]
    """The addresses that the request names; often none."""


def read_request(file: bytes) -> KeyRequest:
    """Read a certificate request, PEM or DER: its signature proves that whoever made it has the private key.

    Raises:
        KeyRefused: it is not readable, not signed by its own key with SHA-2, names something else than mail
            addresses, or its key is one that is not certified.
    """
    try:
        request = _request(file)
        key, extensions = request.public_key(), request.extensions
        strong = isinstance(request.signature_hash_algorithm, _STRONG_HASHES)
        is_genuine = strong and request.is_signature_valid
    except _UNREADABLE as error:
        raise KeyRefused("it is no certificate request, neither DER nor PEM", code="request.form") from error
    public_key = certifiable(key)
    if not is_genuine:
        raise KeyRefused("its signature is not by its own key, over SHA-2", code="request.signature")
    return KeyRequest(public_key=public_key, mailboxes=frozenset(_mailboxes(request.subject, extensions)))


def certifiable(public_key: object) -> PublicKey:
    """Return a key that others bring, if it is one that is certified.

    Raises:
        KeyRefused: it is weak, or of no algorithm that is certified.
    """
    key = check_quality(public_key)
    algorithm_of(key)
    return key


def read_public_key(file: bytes) -> PublicKey:
    """Read the public key of a SubjectPublicKeyInfo, a certificate or a certificate request, PEM or DER.

    Whether it is any good is not looked at: it may be about to be blocked.

    Raises:
        KeyRefused: it is none of them, or neither an RSA key nor one on a curve.
    """
    for read in (_public_key, _key_of_certificate, _key_of_request):
        try:
            key = read(file)
        except _UNREADABLE:
            continue
        if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            return key
    raise KeyRefused("it holds no public key, certificate or certificate request", code="request.form")


def _is_pem(file: bytes) -> bool:
    return b"-----BEGIN" in file


def _public_key(file: bytes) -> object:
    return load_pem_public_key(file) if _is_pem(file) else load_der_public_key(file)


def _key_of_certificate(file: bytes) -> object:
    read: Callable[[bytes], x509.Certificate] = (
        x509.load_pem_x509_certificate if _is_pem(file) else x509.load_der_x509_certificate
    )
    return read(file).public_key()


def _key_of_request(file: bytes) -> object:
    return _request(file).public_key()


def _request(file: bytes) -> x509.CertificateSigningRequest:
    return x509.load_pem_x509_csr(file) if _is_pem(file) else x509.load_der_x509_csr(file)


def _mailboxes(subject: x509.Name, extensions: x509.Extensions) -> Iterator[Mailbox]:
    for attribute in subject:
        text = str(attribute.value)
        # Who asks is often named beside: an organization, a person. That is ignored, an address is not.
        if attribute.oid == NameOID.EMAIL_ADDRESS or "@" in text:
            yield _mailbox(text)
    for extension in extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            for name in extension.value:
                if not isinstance(name, x509.RFC822Name):
                    raise KeyRefused("it asks for a name that is no mail address", code="request.other_name")
                yield _mailbox(name.value)


def _mailbox(text: str) -> Mailbox:
    try:
        return Mailbox.parse(text)
    except AddressRefused as error:
        raise KeyRefused("it names an address that is not acceptable", code="request.other_name") from error
