"""How does a CA ask another one for its certificate? With a request (RFC 2986) for what an issuing CA may do.

It is taken somewhere else: to the root that is off line, or to somebody else's CA. Ours takes over the key
and the name and nothing else; what the certificate says besides is the profile's affair.
"""

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from ca.errors import KeyRefused, ProfileRefused
from ca.hierarchy import AuthorityName
from ca.keyrequests import certifiable
from ca.keys import PublicKey, algorithm_of
from ca.profiles import Purpose, basic_constraints, extended_key_usage, key_usage
from ca.signers import Signer
from ca.signing import SIGNATURE_HASH

_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_NAMED = {NameOID.ORGANIZATION_NAME: "organization", NameOID.COMMON_NAME: "common_name"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaRequest:
    """A key that is to become an issuing CA's, and has been shown to be its owner's."""

    public_key: PublicKey
    name: AuthorityName


def request_issuing(signer: Signer, name: AuthorityName) -> x509.CertificateSigningRequest:
    """Ask for the certificate of an issuing CA: with what it must be able to do, whoever decides."""
    public_key = signer.public_key
    usage = key_usage(Purpose.ISSUING_CA, algorithm_of(public_key))
    builder = (
        x509.CertificateSigningRequestBuilder(name.distinguished_name)
        .add_extension(basic_constraints(Purpose.ISSUING_CA), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    extended = extended_key_usage(Purpose.ISSUING_CA)
    if extended is not None:
        builder = builder.add_extension(extended, critical=False)
    return builder.sign(signer.signing_key, SIGNATURE_HASH)


def read_ca_request(file: bytes) -> CaRequest:
    """Read a request, PEM or DER.

    Raises:
        KeyRefused: it is not readable, not signed by its own key over SHA-2, names its CA by more or less
            than O and CN, or its key is one that is not certified.
    """
    read = x509.load_pem_x509_csr if b"-----BEGIN" in file else x509.load_der_x509_csr
    try:
        request = read(file)
        key, digest = request.public_key(), request.signature_hash_algorithm
        is_genuine = request.is_signature_valid
    except _UNREADABLE as error:
        raise KeyRefused("it is no certificate request, neither DER nor PEM", code="request.form") from error
    public_key = certifiable(key)
    if not is_genuine or digest is None or digest.digest_size < SIGNATURE_HASH.digest_size:
        raise KeyRefused("its signature is not by its own key, over SHA-2", code="request.signature")
    return CaRequest(public_key=public_key, name=_name_of(request.subject))


def _name_of(subject: x509.Name) -> AuthorityName:
    named = {_NAMED[one.oid]: str(one.value) for one in subject if one.oid in _NAMED}
    try:
        if len(list(subject)) == len(named):
            return AuthorityName(**named)
    except (TypeError, ProfileRefused) as error:
        raise KeyRefused("it names no CA by O and CN", code="request.other_name") from error
    raise KeyRefused("it names a CA by more than O and CN", code="request.other_name")
