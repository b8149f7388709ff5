import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from pkilint import loader
from pkilint.cabf import smime
from pkilint.cabf.smime.smime_constants import Generation, ValidationLevel
from pkilint.pkix import certificate

from ca.hierarchy import create_tls_server
from ca.keys import PrivateKey
from ca.linting import EXCUSED_CODES, NO_RESERVED_POLICY, SINGLE_LABEL_HOST, Finding, Linter, Severity
from ca.profiles import Purpose
from ca.signing import PreparedCertificate, SignatureScheme, _signed
from tests.builders import NOW, Authority, a_certificate, a_prepared_certificate
from tests.ca.mutants import mutants


def der_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def recipients_der(authority: Authority, recipient_key: PrivateKey) -> bytes:
    return der_of(a_certificate(authority, recipient_key.public_key()))


def codes(findings: tuple[Finding, ...]) -> set[str]:
    return {finding.code for finding in findings}


def test_finds_nothing_in_a_recipients_certificate(linter: Linter, recipients_der: bytes) -> None:
    assert linter.findings(recipients_der, Purpose.RECIPIENT_ENCRYPTION) == ()


def test_finds_nothing_in_the_cas_certificates(linter: Linter, authority: Authority) -> None:
    issuing, root = authority.chain
    assert linter.findings(der_of(root), Purpose.ROOT_CA) == ()
    assert linter.findings(der_of(issuing), Purpose.ISSUING_CA) == ()


def test_excuses_one_code_per_purpose_and_none_for_a_ca() -> None:
    assert {
        Purpose.RECIPIENT_ENCRYPTION: NO_RESERVED_POLICY,
        Purpose.RECIPIENT_DUAL: NO_RESERVED_POLICY,
        Purpose.PROXY: NO_RESERVED_POLICY,
        Purpose.DOMAIN: NO_RESERVED_POLICY,
        Purpose.TLS_SERVER: SINGLE_LABEL_HOST,
    } == EXCUSED_CODES


def test_the_excuse_is_needed_for_recipients(
    linter: Linter, recipients_der: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ca.linting.EXCUSED_CODES", {})
    findings = linter.findings(recipients_der, Purpose.RECIPIENT_ENCRYPTION)
    assert codes(findings) == {"cabf.smime.no_required_reserved_policy_oid"}


def test_the_excuse_is_needed_for_localhost(linter: Linter, monkeypatch: pytest.MonkeyPatch) -> None:
    server, _ = create_tls_server(["localhost"], NOW, linter)
    assert linter.findings(der_of(server), Purpose.TLS_SERVER) == ()
    monkeypatch.setattr("ca.linting.EXCUSED_CODES", {})
    assert codes(linter.findings(der_of(server), Purpose.TLS_SERVER)) == {"pkix.invalid_domain_name_syntax"}


def test_an_encryption_certificate_does_not_pass_as_a_dual_one(linter: Linter, recipients_der: bytes) -> None:
    findings = linter.findings(recipients_der, Purpose.RECIPIENT_DUAL)
    assert codes(findings) == {"pushpki.key_usage_not_of_the_purpose"}


def test_a_recipients_certificate_does_not_pass_as_a_cas(linter: Linter, recipients_der: bytes) -> None:
    assert "pushpki.basic_constraints_not_of_the_purpose" in codes(
        linter.findings(recipients_der, Purpose.ISSUING_CA)
    )


def test_a_cas_certificate_does_not_pass_as_a_recipients(linter: Linter, authority: Authority) -> None:
    findings = linter.findings(der_of(authority.issuer.certificate), Purpose.RECIPIENT_ENCRYPTION)
    assert "cabf.smime.is_ca_certificate" in codes(findings)


@pytest.mark.parametrize("der", [b"", b"\x30", b"not a certificate", b"\x30\x03\x02\x01\x00"])
def test_what_is_no_certificate_crashes_the_linter_and_that_is_a_finding(
    linter: Linter, der: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        (finding,) = linter.findings(der, Purpose.RECIPIENT_ENCRYPTION)
    assert finding.severity is Severity.FATAL
    assert finding.code == "pushpki.linter_crashed"
    assert "the linter crashed" in caplog.text


@given(st.data())
def test_a_damaged_certificate_never_makes_it_raise(
    linter: Linter, recipients_der: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(recipients_der)
    position = data.draw(st.integers(0, len(damaged) - 1))
    damaged[position] ^= data.draw(st.integers(1, 255))
    for finding in linter.findings(bytes(damaged), Purpose.RECIPIENT_ENCRYPTION):
        assert finding.code != NO_RESERVED_POLICY


def test_many_threads_get_the_answer_that_one_gets(
    linter: Linter, authority: Authority, recipients_der: bytes
) -> None:
    questions = [
        (recipients_der, Purpose.RECIPIENT_ENCRYPTION),
        (recipients_der, Purpose.RECIPIENT_DUAL),
        (der_of(authority.root.certificate), Purpose.ROOT_CA),
        (der_of(authority.root.certificate), Purpose.ISSUING_CA),
    ] * 10
    alone = [linter.findings(*question) for question in questions]
    with ThreadPoolExecutor(max_workers=8) as executor:
        together = list(executor.map(lambda question: linter.findings(*question), questions))
    assert together == alone


def test_the_smime_rules_include_all_rules_of_rfc_5280(linter: Linter) -> None:
    """Why one pass is enough for a recipient's certificate."""
    missing = Counter(kinds_of(linter._general_rules._container)) - Counter(
        kinds_of(linter._recipient_rules._container)
    )
    assert not missing


def test_the_rules_are_those_of_mailbox_strict(linter: Linter) -> None:
    expected = certificate.create_pkix_certificate_validator_container(
        smime.create_decoding_validators(),
        smime.create_subscriber_validators(ValidationLevel.MAILBOX, Generation.STRICT),
    )
    assert Counter(kinds_of(linter._recipient_rules._container)) == Counter(kinds_of(expected))


def test_being_faster_changes_nothing_that_is_found(
    linter: Linter, authority: Authority, recipient_key: PrivateKey, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the validators that are left out, nor the values that are known from other certificates."""
    caplog.set_level(logging.CRITICAL)
    plain = certificate.create_pkix_certificate_validator_container(
        smime.create_decoding_validators(),
        smime.create_subscriber_validators(ValidationLevel.MAILBOX, Generation.STRICT),
    )
    good = a_prepared_certificate(authority, recipient_key.public_key())
    spoiled = list(spoiled_copies(good, recipient_key))
    assert len(spoiled) >= 200
    known = [
        der_of(authority.issuer.certificate),
        der_of(authority.root.certificate),
        signed(good, recipient_key),
    ]
    for der in (*known, *spoiled, *known):
        everything = [
            (int(found.finding.severity), found.finding.code, found.message or "")
            for result in plain.validate(loader.load_der_certificate(der).root)
            for found in result.finding_descriptions
        ]
        assert list(linter._recipient_rules.judge(der)) == everything
        assert everything


def spoiled_copies(good: PreparedCertificate, key: PrivateKey) -> Iterator[bytes]:
    """Yield each mutant that can be written down."""
    for mutant in mutants(good):
        with contextlib.suppress(ValueError):
            yield signed(mutant.spoil(good), key)


def signed(prepared: PreparedCertificate, key: PrivateKey) -> bytes:
    return der_of(_signed(prepared, key, SignatureScheme.PKCS1))


def kinds_of(container: Any) -> list[type]:
    """The types of all validators within, at any depth."""
    kinds: list[type] = []
    for validator in getattr(container, "validators", ()):
        kinds += [type(validator), *kinds_of(validator)]
    return kinds


def test_a_finding_shows_its_code_and_keeps_its_message_to_itself() -> None:
    finding = Finding(severity=Severity.WARNING, code="pkix.example", message="alice@example.com")
    assert str(finding) == "pkix.example (WARNING)"


def test_lower_is_worse() -> None:
    assert Severity.FATAL < Severity.ERROR < Severity.WARNING < Severity.NOTICE
