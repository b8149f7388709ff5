import ssl

import pytest

from directory.delivery.tls_faults import TlsFault, tls_fault_of


def an_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (10, TlsFault.EXPIRED),
        (9, TlsFault.EXPIRED),
        (18, TlsFault.NOT_TRUSTED),
        (19, TlsFault.NOT_TRUSTED),
        (20, TlsFault.NOT_TRUSTED),
        (62, TlsFault.HOST_MISMATCH),
        (64, TlsFault.HOST_MISMATCH),
        (66, TlsFault.INVALID),
    ],
)
def test_says_what_openssl_found_in_the_words_of_a_report(code: int, fault: TlsFault) -> None:
    assert tls_fault_of(an_error(code)) is fault


def test_a_handshake_that_broke_is_a_failure_of_validation() -> None:
    assert tls_fault_of(ssl.SSLError(1, "wrong version number")) is TlsFault.INVALID
