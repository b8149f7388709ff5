"""What was wrong with TLS to a mail server? The words of reports about it, and how errors become them."""

import ssl
from enum import StrEnum


class TlsFault(StrEnum):
    """What was wrong with TLS, in the words of reports about it (RFC 8460 section 4.3)."""

    NOT_OFFERED = "starttls-not-supported"
    HOST_MISMATCH = "certificate-host-mismatch"
    EXPIRED = "certificate-expired"
    NOT_TRUSTED = "certificate-not-trusted"
    INVALID = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    STS_FETCH = "sts-policy-fetch-error"
    STS_POLICY_INVALID = "sts-policy-invalid"
    STS_WEBPKI_INVALID = "sts-webpki-invalid"


# OpenSSL's X509_V_ERR_*: of the certificate or of the time at which it holds; of the chain; of the name.
_EXPIRED = frozenset({9, 10})
_NOT_TRUSTED = frozenset({2, 18, 19, 20, 21, 24, 27})
_HOST_MISMATCH = frozenset({62, 64})


def tls_fault_of(error: ssl.SSLError) -> TlsFault:
    """Say in the words of a TLS report what an error of a handshake was."""
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else None
    if code in _EXPIRED:
        return TlsFault.EXPIRED
    if code in _NOT_TRUSTED:
        return TlsFault.NOT_TRUSTED
    return TlsFault.HOST_MISMATCH if code in _HOST_MISMATCH else TlsFault.INVALID
