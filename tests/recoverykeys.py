"""A recovery key and its certificate, made once for all tests: RSA-4096 takes a while."""

from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ca.escrow import RecoveryCertificate
from ca.hierarchy import AuthorityName, create_recovery_certificate
from ca.linting import Linter
from tests.builders import NOW

NAME = AuthorityName(organization="Example", common_name="Example Key Recovery 2026")


def a_recovery_key(number: int = 1) -> tuple[x509.Certificate, RSAPrivateKey]:
    """Return the certificate and key of that number."""
    return _made(number)


@cache
def _made(number: int) -> tuple[x509.Certificate, RSAPrivateKey]:
    del number
    certificate, key = create_recovery_certificate(NAME, NOW, Linter())
    assert isinstance(key, RSAPrivateKey)
    return certificate, key


def a_recovery_certificate(number: int = 1) -> RecoveryCertificate:
    return RecoveryCertificate(a_recovery_key(number)[0])
