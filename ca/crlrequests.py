"""What does a root that is off line need to know to sign its next CRL? A file that is carried to it.

JSON, so that whoever carries it can read what is revoked. It is not secret, and nothing in it is believed but
what an operator at the root has looked at: the certificate must be the root's own.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.errors import CrlRequestRefused
from ca.revocation import RevocationReason, RevokedCertificate

_FORMAT: Final = "pushpki CRL request"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlRequest:
    """What the next CRL of an issuer is to say."""

    certificate: x509.Certificate
    """The issuer's."""
    number: int
    """The least number that is greater than those before (RFC 5280 section 5.2.3)."""
    revoked: Sequence[RevokedCertificate]

    def write(self) -> bytes:
        """Return the file."""
        document = {
            "format": _FORMAT,
            "version": _VERSION,
            "issuer": self.certificate.subject.rfc4514_string(),
            "certificate": self.certificate.public_bytes(Encoding.PEM).decode(),
            "number": self.number,
            "revoked": [
                {
                    "serial": f"{one.serial_number:x}",
                    "at": one.revoked_at.astimezone(UTC).isoformat(),
                    "reason": one.reason.value,
                }
                for one in self.revoked
            ],
        }
        return json.dumps(document, indent=2).encode() + b"\n"


def read_crl_request(file: bytes) -> CrlRequest:
    """Read the file.

    Raises:
        CrlRequestRefused: it is no such file.
    """
    try:
        document = json.loads(file)
        if (document["format"], document["version"]) != (_FORMAT, _VERSION):
            raise CrlRequestRefused("is no CRL request of this version")
        return CrlRequest(
            certificate=x509.load_pem_x509_certificate(document["certificate"].encode()),
            number=int(document["number"]),
            revoked=[
                RevokedCertificate(
                    serial_number=int(one["serial"], 16),
                    revoked_at=datetime.fromisoformat(one["at"]).astimezone(UTC),
                    reason=RevocationReason(one["reason"]),
                )
                for one in document["revoked"]
            ],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CrlRequestRefused("is no CRL request") from error
