"""Somebody else's CAs, good or with one defect."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.keys import KeyAlgorithm, PrivateKey
from ca.profiles import Purpose, key_usage
from tests.builders import NOW

YEAR = timedelta(days=365)
MAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION
MAY_SIGN = key_usage(Purpose.ISSUING_CA, KeyAlgorithm.RSA_2048)


class Stranger:
    """A CA of somebody else's, with its key; certified by another one, or by itself."""

    def __init__(self, name: str, parent: "Stranger | None" = None, **deviations: object) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = parent or self
        self.certificate = signer.certify(self.name, self.key.public_key(), **deviations)  # type: ignore[arg-type]

    def certify(
        self,
        name: x509.Name,
        key: CertificatePublicKeyTypes,
        *,
        not_before: datetime = NOW - YEAR,
        not_after: datetime = NOW + 9 * YEAR,
        constraints: x509.BasicConstraints | None = x509.BasicConstraints(ca=True, path_length=None),  # noqa: B008 - a value
        usage: x509.KeyUsage | None = MAY_SIGN,
        extended: x509.ObjectIdentifier | None = None,
        identified: bool = True,
        more: x509.ExtensionType | None = None,
        digest: hashes.HashAlgorithm | None = None,
        signing_key: PrivateKey | None = None,
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(
            self.name, name, key, x509.random_serial_number(), not_before, not_after
        )
        extensions: list[tuple[x509.ExtensionType | None, bool]] = [
            (constraints, True),
            (usage, True),
            (x509.ExtendedKeyUsage([extended]) if extended else None, False),
            (x509.SubjectKeyIdentifier.from_public_key(key) if identified else None, False),
            (more, True),
        ]
        for value, critical in extensions:
            if value is not None:
                builder = builder.add_extension(value, critical)
        return builder.sign(signing_key or self.key, digest or hashes.SHA256())  # type: ignore[arg-type]
