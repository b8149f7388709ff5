from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from ca.crllinting import CrlLinter
from ca.linting import Severity
from tests.builders import NOW, Authority

WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
def crl_linter() -> CrlLinter:
    return CrlLinter()


def a_crl(authority: Authority, *extensions: x509.ExtensionType, validity: timedelta = WEEK) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.issuer.name)
        .last_update(NOW)
        .next_update(NOW + validity)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(authority.issuing_key, hashes.SHA256()).public_bytes(Encoding.DER)


def codes(linter: CrlLinter, der: bytes) -> set[str]:
    return {finding.code for finding in linter.findings(der)}


def test_a_sound_crl_has_no_finding(crl_linter: CrlLinter, authority: Authority) -> None:
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.issuing_key.public_key())

    assert crl_linter.findings(a_crl(authority, issuer, x509.CRLNumber(1))) == ()


def test_a_crl_without_number_and_issuer_key_is_found(crl_linter: CrlLinter, authority: Authority) -> None:
    found = codes(crl_linter, a_crl(authority))

    assert len(found) == 2
    assert all("absent" in code or "missing" in code for code in found)


def test_a_crl_that_lives_too_long_is_found(crl_linter: CrlLinter, authority: Authority) -> None:
    assert "cabf.crl_invalid_validity_period" in codes(
        crl_linter, a_crl(authority, validity=timedelta(days=11))
    )


@pytest.mark.parametrize("junk", [b"", b"junk", b"\x30\x00", b"\x30\x03\x02\x01\x01"])
def test_what_is_no_crl_is_a_finding_and_no_crash(crl_linter: CrlLinter, junk: bytes) -> None:
    (finding,) = crl_linter.findings(junk)

    assert (finding.severity, finding.code) == (Severity.FATAL, "pushpki.linter_crashed")
