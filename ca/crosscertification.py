"""How does our root vouch for somebody else's CA? With an issuing CA's certificate for its name and key.

What is certified is the CA that signs: it may have none below it, and certify mail addresses at the domains
that are named and at no others (RFC 5280 section 4.2.1.10).
"""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from ca.carequests import read_ca_request
from ca.errors import KeyRefused, ProfileRefused
from ca.issuance import Issuer
from ca.issuerimport import require_ca
from ca.keyrequests import certifiable
from ca.keys import PublicKey
from ca.profiles import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherCa:
    """Somebody else's CA: its name as in the certificates that it signs, and its key."""

    name: x509.Name
    public_key: PublicKey


def read_other_ca(file: bytes, now: datetime) -> OtherCa:
    """Read a CA's certificate, by whomever, or its certificate request; PEM or DER.

    Raises:
        KeyRefused: it is neither, or its key is one that is not certified; or has another identifier than
            ours gives it (RFC 5280 section 4.2.1.2 method 1), by which what it signs would not name it.
        IssuerRefused: the certificate is not one of a CA that is good for mail, or not valid now.
    """
    certificate = _certificate(file)
    if certificate is None:
        request = read_ca_request(file)
        return OtherCa(name=request.name.distinguished_name, public_key=request.public_key)
    require_ca(certificate, now)
    public_key = certifiable(certificate.public_key())
    identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    if identifier != x509.SubjectKeyIdentifier.from_public_key(public_key):
        raise KeyRefused("its key identifier is not the SHA-1 of its key", code="request.identifier")
    return OtherCa(name=certificate.subject, public_key=public_key)


def cross_certify(root: Issuer, profile: Profile, other: OtherCa, now: datetime) -> x509.Certificate:
    """Certify another CA, linted before it is signed.

    Raises:
        KeyRefused: the key is not of the profile's algorithm.
        ProfileRefused: not an issuing CA's profile, one that constrains no names, not a root, or the root
            ends too soon.
        LintFailed: the certificate would break a rule; nothing was signed.
    """
    if not profile.permitted_domains:
        raise ProfileRefused("permitted_domains", "must say which domains somebody else's CA is trusted with")
    return root.sign(root.lint(root.prepare_issuing_ca(profile, other.name, other.public_key, now)))


def _certificate(file: bytes) -> x509.Certificate | None:
    read = x509.load_pem_x509_certificate if b"-----BEGIN" in file else x509.load_der_x509_certificate
    try:
        return read(file)
    except ValueError:
        return None
