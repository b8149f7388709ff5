"""Is this the server whose certificate the domain's signed DNS names? DANE for SMTP (RFC 7672).

Knows neither the DNS nor connections: it compares what a server showed with what the records demand. For
DANE-TA, the chain from the server to the anchor is checked by `cryptography`, against names and time.
"""

import hashlib
import ssl
from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from directory.delivery.exchanges.resolving import TlsaRecord


class _Usage(IntEnum):
    TRUST_ANCHOR = 2  # DANE-TA
    END_ENTITY = 3  # DANE-EE


class _Selector(IntEnum):
    CERTIFICATE = 0
    PUBLIC_KEY = 1


_DIGESTS = {1: hashlib.sha256, 2: hashlib.sha512}
_DIGEST_SIZES = {1: 32, 2: 64}
_WHOLE = 0
"""The matching type of records that hold the certificate or key itself."""


def usable(records: Sequence[TlsaRecord]) -> tuple[TlsaRecord, ...]:
    """Return the records that mean something for SMTP (RFC 7672 section 3.1.3): DANE-TA and DANE-EE."""
    return tuple(record for record in records if _is_usable(record))


def _is_usable(record: TlsaRecord) -> bool:
    return (
        record.usage in tuple(_Usage)
        and record.selector in tuple(_Selector)
        and (
            (record.matching == _WHOLE and bool(record.data))
            or _DIGEST_SIZES.get(record.matching) == len(record.data)
        )
    )


def authenticates(
    records: Sequence[TlsaRecord], chain: Sequence[bytes], *, names: Sequence[str], now: datetime
) -> bool:
    """Whether the records ask for this chain: DER as the server showed it, its own certificate first.

    A DANE-EE record binds the server's certificate or key and nothing else: names and dates in it do not
    count (RFC 7672 section 3.1.1). A DANE-TA record binds an issuer in the chain; from there on the chain
    must hold, now and for one of `names` (section 3.1.2).
    """
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
    except ValueError:
        return False
    if not certificates:
        return False
    leaf, *issuers = certificates
    for record in records:
        if record.usage == _Usage.END_ENTITY and _matches(record, leaf):
            return True
        if record.usage == _Usage.TRUST_ANCHOR and any(
            _matches(record, issuer) and _chains(leaf, issuers, issuer, names, now) for issuer in issuers
        ):
            return True
    return False


def presented_chain(connection: ssl.SSLObject) -> list[bytes]:
    """Return the certificates that the server showed, DER, its own first; empty if it showed none."""
    public = getattr(connection, "get_unverified_chain", None)
    if public is not None:
        return list(public())
    # Before Python 3.13 the method is there, but only on the object within.
    inner = cast("Any", connection)._sslobj  # noqa: SLF001 - the only way to the chain on 3.11 and 3.12
    return [certificate.public_bytes(2) for certificate in inner.get_unverified_chain() or ()]


def _matches(record: TlsaRecord, certificate: x509.Certificate) -> bool:
    if record.selector == _Selector.CERTIFICATE:
        selected = certificate.public_bytes(Encoding.DER)
    else:
        selected = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if record.matching == _WHOLE:
        return selected == record.data
    return _DIGESTS[record.matching](selected).digest() == record.data


def _chains(
    leaf: x509.Certificate,
    issuers: Sequence[x509.Certificate],
    anchor: x509.Certificate,
    names: Sequence[str],
    now: datetime,
) -> bool:
    # An anchor of one's own is rarely made by the book: of the server's certificate only its names matter.
    of_servers = ExtensionPolicy.permit_all().require_present(
        x509.SubjectAlternativeName, Criticality.AGNOSTIC, None
    )
    builder = (
        PolicyBuilder()
        .store(Store([anchor]))
        .time(now)
        .extension_policies(ee_policy=of_servers, ca_policy=ExtensionPolicy.webpki_defaults_ca())
    )
    for name in names:
        try:
            builder.build_server_verifier(x509.DNSName(name)).verify(leaf, list(issuers))
        except VerificationError:
            continue
        return True
    return False
