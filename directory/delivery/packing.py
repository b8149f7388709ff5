"""How do a sealed key and its sealed password become the key package that the recipient gets?

The one place of delivery where both are open, and only for as long as it takes.
"""

from functools import lru_cache
from typing import Protocol

from cryptography import x509

from ca.address import Mailbox
from ca.errors import KeyRefused
from ca.keypackage import KeyPackageFormat, PackageContents, build_key_package, friendly_name_for
from ca.keys import unsafe_from_sealed_pkcs8
from ca.passwords import Password
from ca.sealing import SealedSecret, Sealer
from directory.enrolmentsecrets import recipient_key_identity, relay_password_identity
from directory.organization import Organization


class Packable(Protocol):
    """Whose key it is, and in which format it is wanted: a due mail, or a recipient at his page."""

    @property
    def enrolment_id(self) -> str:
        """The enrolment that both secrets are bound to."""
        ...

    @property
    def organization(self) -> Organization:
        """Its organization."""
        ...

    @property
    def mailbox(self) -> Mailbox:
        """The address of the certificate."""
        ...

    @property
    def certificate(self) -> bytes:
        """DER."""
        ...

    @property
    def chain(self) -> tuple[bytes, ...]:
        """DER of the issuing certificate, then of its issuers up to the root."""
        ...

    @property
    def sealed_key(self) -> SealedSecret | None:
        """None once it has been destroyed."""
        ...

    @property
    def sealed_password(self) -> SealedSecret | None:
        """None once it has been destroyed."""
        ...

    @property
    def package_format(self) -> KeyPackageFormat:
        """How the file is encrypted."""
        ...


def pack(wanted: Packable, sealer: Sealer) -> bytes:
    """Return the key package; about 5 ms of CPU, nearly all of it while holding the interpreter lock.

    Raises:
        SealBroken: a secret does not open; it is another enrolment's, or was tampered with or destroyed.
        KeyRefused: the key is not the certificate's, or the chain does not lead from it to a root; or key or
            password are here no more.
    """
    if wanted.sealed_key is None or wanted.sealed_password is None:
        raise KeyRefused("the key or its password has been destroyed")
    organization_id = wanted.organization.organization_id
    key = sealer.unseal(wanted.sealed_key, recipient_key_identity(wanted.enrolment_id, organization_id))
    password = sealer.unseal(
        wanted.sealed_password, relay_password_identity(wanted.enrolment_id, organization_id)
    )
    certificate = x509.load_der_x509_certificate(wanted.certificate)
    with_chain = wanted.organization.correspondence.package_chain
    return build_key_package(
        private_key=unsafe_from_sealed_pkcs8(key),
        certificate=certificate,
        chain=[_issuer(der) for der in wanted.chain],
        password=Password(password.decode()),
        package_format=wanted.package_format,
        friendly_name=friendly_name_for(wanted.mailbox, certificate),
        contents=PackageContents.WITH_CHAIN if with_chain else PackageContents.IDENTITY_ALONE,
    )


@lru_cache(maxsize=64)
def _issuer(der: bytes) -> x509.Certificate:
    """Read a certificate that comes again with every key package."""
    return x509.load_der_x509_certificate(der)
