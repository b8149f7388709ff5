from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import CertificatePoliciesOID, ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.der.encoder import encode
from pyasn1_alt_modules import rfc3565, rfc4262

from ca.errors import ProfileRefused
from ca.keys import KeyAlgorithm
from ca.profiles import (
    DOCUMENTATION_POLICY_OID,
    LONGEST_VALIDITY,
    Profile,
    ProfileConfig,
    Purpose,
    is_private_policy,
    key_usage,
)
from tests.builders import NOW, a_profile

RECIPIENTS = tuple(purpose for purpose in Purpose if purpose.is_recipient)
KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)


def usages_of(purpose: Purpose, algorithm: KeyAlgorithm = KeyAlgorithm.RSA_2048) -> set[str]:
    usage = key_usage(purpose, algorithm)
    return {name for name in KEY_USAGES if getattr(usage, name)}


def extension_of(profile: Profile, oid: x509.ObjectIdentifier) -> x509.Extension[x509.ExtensionType] | None:
    return next((extension for extension in profile.extensions() if extension.oid == oid), None)


@pytest.mark.parametrize("purpose", Purpose)
def test_the_standard_profile_of_every_purpose_is_accepted(purpose: Purpose) -> None:
    assert Profile.from_config(ProfileConfig.standard(purpose)).purpose is purpose


@pytest.mark.parametrize("purpose", Purpose)
def test_accepts_the_longest_validity_and_refuses_a_second_more(purpose: Purpose) -> None:
    longest = LONGEST_VALIDITY[purpose]
    assert a_profile(purpose, validity=longest).validity == longest
    with pytest.raises(ProfileRefused) as refused:
        a_profile(purpose, validity=longest + timedelta(seconds=1))
    assert refused.value.field == "validity"


def test_the_longest_validities_are_those_the_field_agreed_on() -> None:
    days = {purpose: longest.days for purpose, longest in LONGEST_VALIDITY.items()}
    assert {days[purpose] for purpose in RECIPIENTS} == {825}
    assert days[Purpose.ROOT_CA] == int(25 * 365.25)
    assert days[Purpose.ISSUING_CA] == int(10 * 365.25)


@pytest.mark.parametrize("validity", [timedelta(hours=23), timedelta(seconds=-1)])
def test_refuses_a_validity_of_less_than_a_day(validity: timedelta) -> None:
    with pytest.raises(ProfileRefused, match="validity"):
        a_profile(validity=validity)


@pytest.mark.parametrize("purpose", RECIPIENTS)
def test_825_days_with_the_last_second_counted_stay_below_825_days(purpose: Purpose) -> None:
    not_before, not_after = a_profile(purpose, validity=timedelta(days=825)).validity_from(NOW)
    inclusive = not_after - not_before + timedelta(seconds=1)
    assert timedelta(days=824) < inclusive < timedelta(days=825)


def test_certificates_begin_an_hour_ago_on_a_full_second() -> None:
    not_before, _ = a_profile().validity_from(NOW.replace(microsecond=999_999))
    assert not_before == NOW - timedelta(hours=1)


def test_a_profile_cannot_be_stretched_afterwards() -> None:
    with pytest.raises(ProfileRefused, match="validity"):
        replace(a_profile(), validity=timedelta(days=826))


@pytest.mark.parametrize("purpose", RECIPIENTS)
def test_recipients_get_the_documentation_policy_until_another_is_named(purpose: Purpose) -> None:
    assert a_profile(purpose).policy_oid == x509.ObjectIdentifier(DOCUMENTATION_POLICY_OID)
    assert a_profile(purpose, policy_oid="1.3.6.1.4.1.99.7").policy_oid == x509.ObjectIdentifier(
        "1.3.6.1.4.1.99.7"
    )


@pytest.mark.parametrize("reserved", ["2.23.140", "2.23.140.1.5.1.3", "2.23.140.1.2.1", "2.5.29.32.0"])
def test_refuses_a_policy_that_a_private_ca_must_not_assert(reserved: str) -> None:
    with pytest.raises(ProfileRefused) as refused:
        a_profile(policy_oid=reserved)
    assert refused.value.field == "policy_oid"


def test_an_arc_that_merely_begins_with_the_same_digits_is_private() -> None:
    assert is_private_policy(x509.ObjectIdentifier("2.23.1401.1"))


@pytest.mark.parametrize("text", ["", "1", "abc", "1..2", "3.1.2", "1.40.1", " 1.2.3", "1.2.3 ", "1.02.3"])
def test_refuses_a_policy_that_is_not_an_object_identifier(text: str) -> None:
    with pytest.raises(ProfileRefused, match="policy_oid"):
        a_profile(policy_oid=text)


@given(st.text(alphabet="0123456789.+- x", max_size=30))
def test_any_text_is_an_object_identifier_in_its_usual_spelling_or_refused(text: str) -> None:
    try:
        policy = a_profile(policy_oid=text).policy_oid
    except ProfileRefused:
        return
    assert policy is not None
    assert policy.dotted_string == text


@pytest.mark.parametrize("purpose", [Purpose.ROOT_CA, Purpose.ISSUING_CA, Purpose.TLS_SERVER])
def test_only_recipients_have_a_policy_of_their_own(purpose: Purpose) -> None:
    with pytest.raises(ProfileRefused, match="policy_oid"):
        a_profile(purpose, policy_oid=DOCUMENTATION_POLICY_OID)


def test_an_encryption_key_only_encrypts() -> None:
    assert usages_of(Purpose.RECIPIENT_ENCRYPTION) == {"key_encipherment"}
    assert usages_of(Purpose.RECIPIENT_ENCRYPTION, KeyAlgorithm.P_256) == {"key_agreement"}


def test_a_dual_key_signs_as_well() -> None:
    assert usages_of(Purpose.RECIPIENT_DUAL) == {"digital_signature", "key_encipherment"}
    assert usages_of(Purpose.RECIPIENT_DUAL, KeyAlgorithm.P_256) == {"digital_signature", "key_agreement"}


def test_a_root_signs_certificates_and_crls_and_an_issuing_ca_ocsp_responses_too() -> None:
    assert usages_of(Purpose.ROOT_CA) == {"key_cert_sign", "crl_sign"}
    assert usages_of(Purpose.ISSUING_CA) == {"key_cert_sign", "crl_sign", "digital_signature"}


def test_a_recovery_key_is_only_encrypted_to() -> None:
    assert usages_of(Purpose.KEY_RECOVERY) == {"key_encipherment"}
    assert usages_of(Purpose.KEY_RECOVERY, KeyAlgorithm.P_256) == {"key_agreement"}


def test_a_tls_server_signs_handshakes() -> None:
    assert usages_of(Purpose.TLS_SERVER, KeyAlgorithm.P_256) == {"digital_signature"}


@pytest.mark.parametrize("purpose", Purpose)
def test_key_usage_and_basic_constraints_are_critical(purpose: Purpose) -> None:
    critical = {type(extension.value) for extension in a_profile(purpose).extensions() if extension.critical}
    assert critical == {x509.KeyUsage, x509.BasicConstraints}


@pytest.mark.parametrize("purpose", [*RECIPIENTS, Purpose.ISSUING_CA])
def test_everything_below_the_root_is_held_to_mail(purpose: Purpose) -> None:
    extension = extension_of(a_profile(purpose), x509.ExtendedKeyUsage.oid)
    assert extension is not None
    assert extension.value == x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])


def test_the_root_has_no_extended_key_usage_and_no_policy() -> None:
    root = a_profile(Purpose.ROOT_CA)
    assert extension_of(root, x509.ExtendedKeyUsage.oid) is None
    assert extension_of(root, x509.CertificatePolicies.oid) is None


def test_the_issuing_ca_leaves_the_policy_to_the_certificates_below() -> None:
    extension = extension_of(a_profile(Purpose.ISSUING_CA), x509.CertificatePolicies.oid)
    assert extension is not None
    assert extension.value == x509.CertificatePolicies(
        [x509.PolicyInformation(CertificatePoliciesOID.ANY_POLICY, None)]
    )


def test_one_ca_follows_the_root_and_none_the_issuing_ca() -> None:
    constraints = {
        purpose: extension.value
        for purpose in Purpose
        if (extension := extension_of(a_profile(purpose), x509.BasicConstraints.oid)) is not None
    }
    no_ca = x509.BasicConstraints(ca=False, path_length=None)
    assert constraints == {
        Purpose.ROOT_CA: x509.BasicConstraints(ca=True, path_length=1),
        Purpose.ISSUING_CA: x509.BasicConstraints(ca=True, path_length=0),
        Purpose.RECIPIENT_ENCRYPTION: no_ca,
        Purpose.RECIPIENT_DUAL: no_ca,
        Purpose.PROXY: no_ca,
        Purpose.DOMAIN: no_ca,
        Purpose.TLS_SERVER: no_ca,
        Purpose.OCSP_RESPONDER: no_ca,
        Purpose.KEY_RECOVERY: no_ca,
    }


@pytest.mark.parametrize("purpose", RECIPIENTS)
def test_the_smime_capabilities_are_what_a_library_would_encode(purpose: Purpose) -> None:
    expected = rfc4262.SMIMECapabilities()
    for algorithm in (rfc3565.id_aes256_CBC, rfc3565.id_aes128_CBC):
        capability = rfc4262.SMIMECapability()
        capability["capabilityID"] = algorithm
        expected.append(capability)
    oid = x509.ObjectIdentifier(str(rfc4262.smimeCapabilities))
    extension = extension_of(a_profile(purpose), oid)
    assert extension is not None
    assert isinstance(extension.value, x509.UnrecognizedExtension)
    assert extension.value.value == encode(expected)
