"""Are the issuers in the database what they should be? Asked before one of them signs anything."""

from collections.abc import Iterator, Mapping

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from directory.errors import ConfigurationRefused
from directory.hierarchy import Hierarchy, StoredIssuer, issuer_id_of
from directory.wiring.installation import Installation


async def sound_issuers(installation: Installation) -> Hierarchy:
    """Return the issuers, if nothing is wrong with any.

    Whether a key opens and is its certificate's is asked where it is used.

    Raises:
        ConfigurationRefused: a certificate cannot be read, is another issuer's, or is not signed by the one
            above it.
        StoreUnavailable: the database does not answer.
    """
    try:
        hierarchy = await installation.issuers.hierarchy()
    except ValueError as error:
        raise _refused(f"the issuers cannot be read: {error}") from error
    by_id = {issuer.issuer_id: issuer for issuer in hierarchy.issuers}
    for issuer in hierarchy.issuers:
        for flaw in _flaws(issuer, by_id):
            raise _refused(f"issuer {issuer.issuer_id}: {flaw}")
    return hierarchy


def _flaws(issuer: StoredIssuer, by_id: Mapping[str, StoredIssuer]) -> Iterator[str]:
    certificate = _read(issuer)
    if certificate is None:
        yield "its certificate cannot be read"
        return
    if not _is_of(issuer.issuer_id, certificate):
        yield "its certificate is another one's"
    if issuer.parent_id is None:
        return
    parent = by_id.get(issuer.parent_id)
    above = None if parent is None else _read(parent)
    if above is None or issuer.parent_id == issuer.issuer_id:
        yield "the issuer above it is missing"
        return
    try:
        certificate.verify_directly_issued_by(above)
    except (InvalidSignature, ValueError, TypeError):
        yield "the issuer above it did not sign its certificate"


def _read(issuer: StoredIssuer) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(issuer.certificate)
    except ValueError:
        return None


def _is_of(issuer_id: str, certificate: x509.Certificate) -> bool:
    try:
        return issuer_id_of(certificate) == issuer_id
    except (x509.ExtensionNotFound, ValueError):
        return False


def _refused(reason: str) -> ConfigurationRefused:
    return ConfigurationRefused(
        key="database.url", reason=reason, remedy="restore it from a backup; 'pushpki verify' says more"
    )
