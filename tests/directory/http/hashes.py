"""The hashes that RFC 4387 section 2.1 writes into queries."""

import base64
import hashlib

from cryptography import x509


def rfc4387_hash(octets: bytes) -> str:
    digest = hashlib.sha1(octets, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode().rstrip("=")


def name_hash(certificate: bytes) -> str:
    """Return the `iHash` of what this certificate's subject issues."""
    return rfc4387_hash(x509.load_der_x509_certificate(certificate).subject.public_bytes())


def key_identifier_hash(certificate: bytes) -> str:
    extensions = x509.load_der_x509_certificate(certificate).extensions
    return rfc4387_hash(extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest)
