"""How does an iPhone, iPad or Mac take key and authority in one step? A configuration profile.

The profile holds the key package as it is, still locked: its password is not in it, so the device asks for
it. Apple calls what is in a profile obfuscated, not protected, and advises the same. Formats: Apple's Device
Management documentation, `TopLevel`, `CertificatePKCS12`, `CertificateRoot` and `CertificatePKCS1`.
"""

import plistlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs7

from directory.errors import ConfigurationRefused

CONTENT_TYPE = "application/x-apple-aspen-config"

_NAMESPACE = uuid.UUID("6f2c1d0e-5f0c-4c0b-9d5a-2f9f3c1b7a44")
"""Ours alone: under it the same thing always gets the same UUID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileContent:
    """What goes into one profile, and what the device says about it."""

    enrolment_id: str
    """Makes the identifiers: installing the profile again replaces it, instead of adding a second one."""
    identifier: str
    """Whose profiles these are, as a reversed domain, such as `org.hospital`."""
    organization: str
    title: str
    description: str
    key_package: bytes = field(repr=False)
    key_title: str
    key_file_name: str
    chain: Sequence[bytes]
    """DER of the issuing certificate, then of its issuers up to the root."""


def configuration_profile(content: ProfileContent) -> bytes:
    """Write the profile as a property list, not signed.

    The authority comes first: by the time the key is looked at, its chain is known.
    """
    root = len(content.chain) - 1
    payloads = [
        _payload(
            content,
            "com.apple.security.root" if place == root else "com.apple.security.pkcs1",
            f"authority.{place}",
            common_name(der),
            PayloadContent=der,
            PayloadCertificateFileName=f"authority-{place}.crt",
        )
        for place, der in reversed(list(enumerate(content.chain)))
    ]
    payloads.append(
        _payload(
            content,
            "com.apple.security.pkcs12",
            "key",
            content.key_title,
            PayloadContent=content.key_package,
            PayloadCertificateFileName=content.key_file_name,
        )
    )
    profile = _payload(content, "Configuration", "profile", content.title, PayloadContent=payloads)
    profile["PayloadIdentifier"] = f"{content.identifier}.pushpki.{content.enrolment_id}"
    profile["PayloadDescription"] = content.description
    profile["PayloadOrganization"] = content.organization
    profile["PayloadRemovalDisallowed"] = False
    return plistlib.dumps(profile)


def _payload(
    content: ProfileContent, payload_type: str, part: str, title: str, **values: Any
) -> dict[str, Any]:
    return {
        "PayloadType": payload_type,
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{content.identifier}.pushpki.{content.enrolment_id}.{part}",
        "PayloadUUID": str(uuid.uuid5(_NAMESPACE, f"{content.enrolment_id}.{part}")).upper(),
        "PayloadDisplayName": title,
        **values,
    }


@lru_cache(maxsize=64)
def common_name(der: bytes) -> str:
    """Return the name under which devices show an authority."""
    subject = x509.load_der_x509_certificate(der).subject
    names = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else subject.rfc4514_string()


class ProfileSigner:
    """Signs profiles, so that a device shows by whom they are (CMS SignedData, DER, content inside).

    With a certificate that browsers trust, such as the web server's own, the device says "Verified".
    """

    def __init__(self, certificates: bytes, key: bytes) -> None:
        """Read the certificate with its chain, and its key; both PEM.

        Raises:
            ConfigurationRefused: they cannot be read, do not belong together, or the key is neither RSA nor
                of an elliptic curve.
        """
        try:
            chain = x509.load_pem_x509_certificates(certificates)
            private_key = load_pem_private_key(key, password=None)
        except (ValueError, TypeError) as error:
            raise ConfigurationRefused(
                key="pages.signing_certificate",
                reason="it or its key cannot be read",
                remedy="give a PEM certificate chain and its unencrypted PEM key",
            ) from error
        if not isinstance(private_key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise ConfigurationRefused(
                key="pages.signing_key", reason="the key is neither RSA nor of an elliptic curve"
            )
        if chain[0].public_key() != private_key.public_key():
            raise ConfigurationRefused(
                key="pages.signing_key", reason="the key is not that of the first certificate"
            )
        self._chain = chain
        self._key = private_key

    def sign(self, profile: bytes) -> bytes:
        """Return the signed profile."""
        builder = (
            pkcs7.PKCS7SignatureBuilder()
            .set_data(profile)
            .add_signer(self._chain[0], self._key, hashes.SHA256())
        )
        # Certificates last: the builder forgets those that were added before data and signer.
        for certificate in self._chain[1:]:
            builder = builder.add_certificate(certificate)
        return builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])
