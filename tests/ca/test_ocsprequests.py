import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.der import decoder, encoder
from pyasn1_alt_modules import rfc6960

from ca.errors import OcspRequestRefused
from ca.keys import KeyAlgorithm, generate
from ca.linting import Linter
from ca.ocsprequests import (
    LONGEST_REQUEST,
    MOST_CERTIFICATES,
    CertificateId,
    IdHash,
    IssuerMark,
    issuer_marks,
    read_ocsp_request,
)
from tests.builders import Authority, a_certificate, a_profile, an_authority
from tests.responders import a_mark, a_request, joined

MARK = IssuerMark(id_hash=IdHash.SHA_1, name_hash=b"n" * 20, key_hash=b"k" * 20)
UNKNOWN_EXTENSION = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


@pytest.mark.parametrize("id_hash", IdHash)
@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_2048, KeyAlgorithm.P_256])
def test_an_issuer_is_named_as_the_library_names_it(
    linter: Linter, id_hash: IdHash, algorithm: KeyAlgorithm
) -> None:
    authority = an_authority(linter, key_algorithm=algorithm)
    profile = a_profile(key_algorithm=KeyAlgorithm.RSA_2048)
    certificate = a_certificate(authority, generate(KeyAlgorithm.RSA_2048).public_key(), profile=profile)
    mark = a_mark(authority, id_hash)
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        certificate, authority.issuer.certificate, mark.algorithm
    )

    request = read_ocsp_request(builder.build().public_bytes(Encoding.DER))

    expected = CertificateId(issuer=mark, serial_number=certificate.serial_number)
    assert request.certificates == (expected,)
    assert request.is_complete
    assert request.nonce is None


def test_an_issuer_has_a_mark_of_every_hash(authority: Authority) -> None:
    marks = issuer_marks(authority.issuer.certificate, authority.issuing_key.public_key())

    assert {mark.id_hash for mark in marks} == set(IdHash)
    assert {len(mark.name_hash) for mark in marks} == {20, 32}


def test_reads_several_certificates_and_the_nonce() -> None:
    request = read_ocsp_request(a_request(MARK, 1, 2, 3, nonce=b"n" * 32))

    assert [one.serial_number for one in request.certificates] == [1, 2, 3]
    assert {one.issuer for one in request.certificates} == {MARK}
    assert request.nonce == b"n" * 32


@pytest.mark.parametrize("serials", [(7,), (7, 8)])
@pytest.mark.parametrize("length", [1, 16, 32, 128])
def test_accepts_every_nonce_that_the_standard_allows(serials: tuple[int, ...], length: int) -> None:
    assert read_ocsp_request(a_request(MARK, *serials, nonce=b"n" * length)).nonce == b"n" * length


@pytest.mark.parametrize("serials", [(7,), (7, 8)])
@pytest.mark.parametrize("length", [0, 129, 1000])
def test_refuses_a_nonce_of_none_or_too_many_octets(serials: tuple[int, ...], length: int) -> None:
    with pytest.raises(OcspRequestRefused):
        read_ocsp_request(a_request(MARK, *serials, nonce=b"n" * length))


@pytest.mark.parametrize("serials", [(7,), (7, 8)])
def test_refuses_an_unknown_critical_extension(serials: tuple[int, ...]) -> None:
    with pytest.raises(OcspRequestRefused, match="critical"):
        read_ocsp_request(a_request(MARK, *serials, extension=UNKNOWN_EXTENSION))


@pytest.mark.parametrize("serials", [(7,), (7, 8)])
def test_an_issuer_named_by_another_hash_is_left_out(serials: tuple[int, ...]) -> None:
    der = joined([_by_sha_512(serial) for serial in serials]) if len(serials) > 1 else _by_sha_512(7)

    request = read_ocsp_request(der)

    assert request.certificates == ()
    assert not request.is_complete


def test_of_several_the_one_that_can_be_read_is_not_all() -> None:
    request = read_ocsp_request(joined([a_request(MARK, 7), _by_sha_512(8)]))

    assert [one.serial_number for one in request.certificates] == [7]
    assert not request.is_complete


@pytest.mark.parametrize("serial", [0, 2**160, 2**4000])
def test_refuses_a_serial_number_that_no_certificate_can_have(serial: int) -> None:
    with pytest.raises(OcspRequestRefused, match="serial"):
        read_ocsp_request(a_request(MARK, serial))


def test_refuses_a_negative_serial_number() -> None:
    with pytest.raises(OcspRequestRefused, match="serial"):
        read_ocsp_request(a_request(MARK, 1).replace(b"\x02\x01\x01", b"\x02\x01\xff"))


@pytest.mark.parametrize("serial", [1, 2**159, 2**160 - 1])
def test_accepts_every_serial_number_of_up_to_twenty_octets(serial: int) -> None:
    (asked,) = read_ocsp_request(a_request(MARK, serial)).certificates

    assert asked.serial_number == serial


def test_refuses_more_certificates_than_it_answers_for() -> None:
    most = read_ocsp_request(a_request(MARK, *range(1, MOST_CERTIFICATES + 1)))
    assert len(most.certificates) == MOST_CERTIFICATES
    with pytest.raises(OcspRequestRefused, match="too many"):
        read_ocsp_request(a_request(MARK, *range(1, MOST_CERTIFICATES + 2)))


def test_refuses_a_request_about_nothing() -> None:
    request, _ = decoder.decode(a_request(MARK, 7), asn1Spec=rfc6960.OCSPRequest())
    request["tbsRequest"]["requestList"].clear()
    with pytest.raises(OcspRequestRefused):
        read_ocsp_request(encoder.encode(request))


@pytest.mark.parametrize("serials", [(7,), (7, 8)])
def test_refuses_anything_behind_the_request(serials: tuple[int, ...]) -> None:
    with pytest.raises(OcspRequestRefused):
        read_ocsp_request(a_request(MARK, *serials) + b"\x00")


def test_refuses_what_is_too_long_before_it_reads_it() -> None:
    with pytest.raises(OcspRequestRefused, match="too long"):
        read_ocsp_request(bytes(LONGEST_REQUEST + 1))


@given(st.binary(max_size=300))
def test_whatever_comes_is_read_or_refused(octets: bytes) -> None:
    with pytest.raises(OcspRequestRefused):
        read_ocsp_request(octets)


@given(
    st.sampled_from([a_request(MARK, 7, nonce=b"n" * 16), a_request(MARK, 7, 8, nonce=b"n" * 16)]),
    st.data(),
)
def test_whatever_a_request_is_damaged_into_is_read_or_refused(der: bytes, data: st.DataObject) -> None:
    damaged = bytearray(der)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    try:
        request = read_ocsp_request(bytes(damaged))
    except OcspRequestRefused:
        return
    assert len(request.certificates) <= MOST_CERTIFICATES
    assert request.nonce is None or 0 < len(request.nonce) <= 128


def _by_sha_512(serial: int) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(b"n" * 64, b"k" * 64, serial, hashes.SHA512())
    return builder.build().public_bytes(Encoding.DER)
