from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from ca.keys import PrivateKey, same_key
from ca.signers import Signer, SoftwareSigner
from tests.builders import NOW, TokenKey, TokenSigner


def test_a_software_signer_shows_its_algorithm_and_hides_its_key(recipient_key: PrivateKey) -> None:
    assert repr(SoftwareSigner(recipient_key)) == "<SoftwareSigner rsa-2048>"


def test_a_software_signer_signs_with_the_key_it_was_given(recipient_key: PrivateKey) -> None:
    signer = SoftwareSigner(recipient_key)
    assert same_key(signer.public_key, recipient_key.public_key())
    assert signer.signing_key is recipient_key


def test_a_key_object_that_forwards_to_a_token_is_enough_for_the_builders(recipient_key: PrivateKey) -> None:
    assert isinstance(recipient_key, rsa.RSAPrivateKey)
    token = TokenKey(recipient_key)
    signer: Signer = TokenSigner(signing_key=token)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example CA")])
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name)
        .last_update(NOW)
        .next_update(NOW)
        .sign(signer.signing_key, hashes.SHA256())
    )
    assert token.signatures == 1
    assert crl.is_signature_valid(signer.public_key)
