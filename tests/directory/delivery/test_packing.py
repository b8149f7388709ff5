from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from ca.errors import KeyRefused, SealBroken
from ca.keypackage import KeyPackageFormat
from directory.delivery.packing import pack
from tests.directory.delivery.builders import PASSWORD, a_due_mail, a_sealer, an_authority


@pytest.mark.parametrize("package_format", KeyPackageFormat)
def test_the_password_opens_the_key_package(package_format: KeyPackageFormat) -> None:
    mail = a_due_mail(package_format=package_format)
    opened = pkcs12.load_pkcs12(pack(mail, a_sealer()), PASSWORD.encode())
    assert opened.cert is not None
    assert opened.cert.certificate.public_bytes(Encoding.DER) == mail.certificate
    assert isinstance(opened.key, rsa.RSAPrivateKey)
    assert opened.key.private_numbers() == an_authority().recipient_key.private_numbers()
    assert [entry.certificate.public_bytes(Encoding.DER) for entry in opened.additional_certs] == list(
        mail.chain
    )


def test_no_other_password_opens_it() -> None:
    package = pack(a_due_mail(), a_sealer())
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_pkcs12(package, PASSWORD.lower().encode())


def test_refuses_a_key_that_is_not_the_certificates() -> None:
    mail = a_due_mail(private_key=rsa.generate_private_key(65537, 2048))
    with pytest.raises(KeyRefused):
        pack(mail, a_sealer())


def test_refuses_secrets_of_another_enrolment() -> None:
    mail, other = a_due_mail(), a_due_mail(enrolment_id="another")
    with pytest.raises(SealBroken):
        pack(replace(mail, sealed_key=other.sealed_key), a_sealer())
    with pytest.raises(SealBroken):
        pack(replace(mail, sealed_password=other.sealed_password), a_sealer())


def test_refuses_secrets_of_another_kind() -> None:
    mail = a_due_mail()
    with pytest.raises(SealBroken):
        pack(replace(mail, sealed_password=mail.sealed_key), a_sealer())
