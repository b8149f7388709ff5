"""Which rules does a certificate break? The judgement of pkilint, and of the few rules of our own.

It sees bytes and a purpose; whether the certificate may be signed with those findings is decided in
`ca.signing`.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, unique
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from ca import houserules
from ca.profiles import Profile, ProfileConfig, Purpose

_log = logging.getLogger(__name__)

NO_RESERVED_POLICY = "cabf.smime.no_required_reserved_policy_oid"
"""The one finding excused on recipients' certificates. The CA/B Forum's policy OIDs promise an audited public
CA that validated the mailbox before issuing. A private CA that mints for strangers asserts its own."""

SINGLE_LABEL_HOST = "pkix.invalid_domain_name_syntax"
"""The one finding excused on our own TLS server's certificate: to pkilint `localhost` is no domain name,
because it has no dot. `ca.hierarchy` judges the syntax of the names itself."""

EXCUSED_CODES: Mapping[Purpose, str] = {
    Purpose.RECIPIENT_ENCRYPTION: NO_RESERVED_POLICY,
    Purpose.RECIPIENT_DUAL: NO_RESERVED_POLICY,
    Purpose.PROXY: NO_RESERVED_POLICY,
    Purpose.DOMAIN: NO_RESERVED_POLICY,
    Purpose.TLS_SERVER: SINGLE_LABEL_HOST,
}

_SAMPLE_PROFILE = Profile.from_config(ProfileConfig.standard(Purpose.RECIPIENT_ENCRYPTION))


_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What cryptography says to a certificate, an extension or a key that it cannot read."""


@unique
class Severity(IntEnum):
    """How bad a finding is: the lower the worse, as in pkilint."""

    FATAL = 0
    ERROR = 1
    WARNING = 2
    NOTICE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One broken rule."""

    severity: Severity
    code: str
    """Stable and dotted, such as `cabf.smime.crldp_extension_missing`; ours begin with `pushpki.`."""
    message: str = ""
    """For an operator's eyes: it may repeat the address, so it stays out of `str()` and thus out of logs."""

    def __str__(self) -> str:
        return f"{self.code} ({self.severity.name})"


class CertificateLinter(Protocol):
    """Judges certificates, wherever it does."""

    def findings(self, der: bytes, purpose: Purpose) -> tuple[Finding, ...]:
        """List what is wrong with a certificate for that purpose. Never raises."""
        ...


class Linter:
    """Lints certificates in this process, 4 ms each; one may be shared by all threads.

    Recipients' certificates are held to the CA/B S/MIME Baseline Requirements (mailbox-validated, strict)
    and RFC 5280, all others to RFC 5280; and all to `ca.houserules`.
    """

    def __init__(self) -> None:
        from ca import rulebook  # noqa: PLC0415 - half a second, for those alone who lint

        self._recipient_rules = rulebook.for_recipients()
        self._general_rules = rulebook.for_others()
        # pkilint promises nothing about threads. It computes under the interpreter lock throughout, so
        # a lock of our own costs no throughput.
        self._lock = threading.Lock()

    def warm(self) -> None:
        """Lint a sample once, so that the first real certificate does not pay for pkilint's first run."""
        sample = _sample()
        for purpose in (Purpose.RECIPIENT_ENCRYPTION, Purpose.ISSUING_CA):
            self.findings(sample, purpose)

    def findings(self, der: bytes, purpose: Purpose) -> tuple[Finding, ...]:
        """List what is wrong with a certificate for that purpose, from NOTICE up, the excused code left out.

        Never raises: a linter that crashes is itself a FATAL finding.
        """
        try:
            found = [*self._judgement_of_pkilint(der, purpose), *_judgement_of_the_house(der, purpose)]
        except Exception as error:  # noqa: BLE001 - what pkilint may raise is not documented
            _log.exception("the linter crashed on a %s certificate", purpose)
            return (Finding(severity=Severity.FATAL, code="pushpki.linter_crashed", message=str(error)),)
        return tuple(finding for finding in found if finding.code != EXCUSED_CODES.get(purpose))

    def _judgement_of_pkilint(self, der: bytes, purpose: Purpose) -> list[Finding]:
        rules = self._recipient_rules if purpose.is_recipient else self._general_rules
        with self._lock:
            judgement = list(rules.judge(der))
        return [
            Finding(severity=Severity(severity), code=code, message=message)
            for severity, code, message in judgement
            if severity <= Severity.NOTICE
        ]


def _judgement_of_the_house(der: bytes, purpose: Purpose) -> list[Finding]:
    try:
        codes = list(houserules.broken_by(x509.load_der_x509_certificate(der), purpose))
    except _UNREADABLE as error:
        return [Finding(severity=Severity.ERROR, code="pushpki.unreadable", message=str(error))]
    return [Finding(severity=Severity.ERROR, code=code) for code in codes]


def _sample() -> bytes:
    """A certificate that makes pkilint do all it does for a recipient's; its own merit does not matter."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, "sample@example.com")])
    location = x509.UniformResourceIdentifier("http://pki.example.com/sample")
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    extensions = [*_SAMPLE_PROFILE.extensions()]
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, start, end, extensions)
    for value in (
        x509.SubjectAlternativeName([x509.RFC822Name("sample@example.com")]),
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
        x509.CRLDistributionPoints([x509.DistributionPoint([location], None, None, None)]),
        x509.AuthorityInformationAccess(
            [x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, location)]
        ),
    ):
        builder = builder.add_extension(value, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
