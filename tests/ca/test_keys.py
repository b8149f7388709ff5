import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from ca.errors import KeyRefused
from ca.keys import (
    KeyAlgorithm,
    PrivateKey,
    algorithm_of,
    generate,
    same_key,
    to_pkcs8,
    unsafe_from_sealed_pkcs8,
)


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_a_generated_key_is_of_the_algorithm_asked_for(algorithm: KeyAlgorithm) -> None:
    assert algorithm_of(generate(algorithm).public_key()) is algorithm


def test_only_the_elliptic_curve_is_not_rsa() -> None:
    assert [algorithm for algorithm in KeyAlgorithm if not algorithm.is_rsa] == [KeyAlgorithm.P_256]


def test_refuses_a_key_shorter_than_2048_bits() -> None:
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - its weakness is the point
    with pytest.raises(KeyRefused, match="1024 bits"):
        algorithm_of(weak.public_key())


def test_refuses_a_size_between_the_accepted_ones() -> None:
    with pytest.raises(KeyRefused, match="2056 bits"):
        algorithm_of(rsa.generate_private_key(65537, 2056).public_key())


def test_refuses_the_public_exponent_3() -> None:
    with pytest.raises(KeyRefused, match="exponent"):
        algorithm_of(rsa.generate_private_key(3, 2048).public_key())


def test_refuses_another_curve() -> None:
    with pytest.raises(KeyRefused, match="secp384r1"):
        algorithm_of(ec.generate_private_key(ec.SECP384R1()).public_key())


def test_refuses_a_key_that_can_only_sign() -> None:
    with pytest.raises(KeyRefused, match="only RSA and P-256"):
        algorithm_of(ed25519.Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_2048, KeyAlgorithm.P_256])
def test_a_key_survives_being_written_and_read(algorithm: KeyAlgorithm) -> None:
    key = generate(algorithm)
    read = unsafe_from_sealed_pkcs8(to_pkcs8(key))
    assert same_key(read.public_key(), key.public_key())
    assert to_pkcs8(read) == to_pkcs8(key)


def test_two_keys_are_not_the_same() -> None:
    first, second = generate(KeyAlgorithm.P_256), generate(KeyAlgorithm.P_256)
    assert not same_key(first.public_key(), second.public_key())


def test_keys_of_two_kinds_are_not_the_same(recipient_key: PrivateKey) -> None:
    assert not same_key(recipient_key.public_key(), generate(KeyAlgorithm.P_256).public_key())


def test_an_encrypted_key_is_refused(recipient_key: PrivateKey) -> None:
    der = recipient_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    with pytest.raises(KeyRefused, match="not an unencrypted PKCS#8"):
        unsafe_from_sealed_pkcs8(der)


def test_a_public_key_is_not_a_private_key(recipient_key: PrivateKey) -> None:
    der = recipient_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(KeyRefused, match="not an unencrypted PKCS#8"):
        unsafe_from_sealed_pkcs8(der)


def test_a_private_key_of_another_kind_is_refused() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    with pytest.raises(KeyRefused, match="only RSA and P-256"):
        unsafe_from_sealed_pkcs8(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def test_a_sealed_key_too_weak_to_certify_is_refused() -> None:
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - its weakness is the point
    with pytest.raises(KeyRefused, match="1024 bits"):
        unsafe_from_sealed_pkcs8(to_pkcs8(weak))


def test_the_refusal_does_not_carry_what_the_parser_said_about_the_bytes() -> None:
    with pytest.raises(KeyRefused) as refused:
        unsafe_from_sealed_pkcs8(b"\x30\x03secret")
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_and_nothing_else_is_raised(der: bytes) -> None:
    with pytest.raises(KeyRefused):
        unsafe_from_sealed_pkcs8(der)


@given(st.data())
def test_a_damaged_key_is_read_or_refused_and_nothing_else_is_raised(data: st.DataObject) -> None:
    der = bytearray(to_pkcs8(_A_P256_KEY))
    position = data.draw(st.integers(0, len(der) - 1))
    der[position] ^= data.draw(st.integers(1, 255))
    try:
        key = unsafe_from_sealed_pkcs8(bytes(der))
    except KeyRefused:
        return
    assert algorithm_of(key.public_key()) is KeyAlgorithm.P_256


_A_P256_KEY = generate(KeyAlgorithm.P_256)
