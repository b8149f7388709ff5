"""How do the sealed key and the sealed password of a due mail become its key package?

The one place of delivery where both are open, and only for as long as it takes.
"""

from functools import lru_cache

from cryptography import x509

from ca.errors import KeyRefused
from ca.keypackage import build_key_package, friendly_name_for
from ca.keys import unsafe_from_sealed_pkcs8
from ca.passwords import Password
from ca.sealing import Sealer
from directory.delivery.outbox import DueMail
from directory.enrolment import recipient_key_identity, relay_password_identity


def pack(mail: DueMail, sealer: Sealer) -> bytes:
    """Return the key package; about 5 ms of CPU, nearly all of it while holding the interpreter lock.

    Raises:
        SealBroken: a secret does not open; it is another enrolment's, or was tampered with or destroyed.
        KeyRefused: the key is not the certificate's, or the chain does not lead from it to a root; or key or
            password are here no more.
    """
    if mail.sealed_key is None or mail.sealed_password is None:
        raise KeyRefused("the key or its password has been destroyed")
    organization_id = mail.organization.organization_id
    key = sealer.unseal(mail.sealed_key, recipient_key_identity(mail.enrolment_id, organization_id))
    password = sealer.unseal(
        mail.sealed_password, relay_password_identity(mail.enrolment_id, organization_id)
    )
    certificate = x509.load_der_x509_certificate(mail.certificate)
    return build_key_package(
        private_key=unsafe_from_sealed_pkcs8(key),
        certificate=certificate,
        chain=[_issuer(der) for der in mail.chain],
        password=Password(password.decode()),
        package_format=mail.package_format,
        friendly_name=friendly_name_for(mail.mailbox, certificate),
    )


@lru_cache(maxsize=64)
def _issuer(der: bytes) -> x509.Certificate:
    """Read a certificate that comes again with every mail."""
    return x509.load_der_x509_certificate(der)
