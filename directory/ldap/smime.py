"""What is a value of userSMIMECertificate? A package of a certificate and the chain above it.

Knows certificates; neither entries nor who asks.
"""

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from directory.authorities import PublishedAuthority


def packaged(certificate: bytes, authorities: Sequence[PublishedAuthority]) -> bytes | None:
    """Return a PKCS #7 SignedData with nothing but the certificate and its issuers (RFC 2798 section 2.8).

    Those of the issuers that are published here; of a certificate from elsewhere nobody knows the chain.
    None for what is no certificate.
    """
    try:
        lowest = x509.load_der_x509_certificate(certificate)
    except ValueError:
        return None
    issuers = [x509.load_der_x509_certificate(authority.certificate) for authority in authorities]
    return pkcs7.serialize_certificates(_chain(lowest, issuers), Encoding.DER)


def _chain(lowest: x509.Certificate, issuers: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    chain = [lowest]
    while len(chain) <= len(issuers) and chain[-1].issuer != chain[-1].subject:
        issuer = next((each for each in issuers if _has_issued(each, chain[-1])), None)
        if issuer is None:
            break
        chain.append(issuer)
    return chain


def _has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if certificate.issuer != issuer.subject:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
